"""What all tests share: how Hypothesis searches, here and in continuous integration."""

import os

from hypothesis import HealthCheck, settings

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]

# Nothing timed is asserted. In CI the same examples are tried each time, so a failure there is a
# failure here; elsewhere each run looks further, and prints what replays a failure.
settings.register_profile("search", deadline=None, print_blob=True, suppress_health_check=SLOW)
settings.register_profile("ci", settings.get_profile("search"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "search")
