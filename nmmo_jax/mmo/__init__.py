"""The role-playing world: units of rules that can each be left out (``docs/rulebook-mmo.md``)."""
