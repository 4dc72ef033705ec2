"""Two devices on the CPU, so that what is split over devices is tested wherever the tests run."""

import os

os.environ.setdefault("JAX_NUM_CPU_DEVICES", "2")
