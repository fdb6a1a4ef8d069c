"""Contract suites for members of your own: pytest classes that hold every claim a member must meet.

Nothing else in `study` imports pytest.
"""

import pytest

pytest.register_assert_rewrite("study.testing.opponents")
