"""The worlds as other libraries want them: Gymnasium, PettingZoo, JaxMARL. See ``docs/adapters.md``.

Each module needs the library that it is for, and says how to get it: ``vector`` Gymnasium, ``parallel`` PettingZoo,
``marl`` JaxMARL.
"""
