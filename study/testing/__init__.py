"""Contract suites: the claims every member must meet, as pytest classes for the tests of this project and of a user's.

    from study.testing.clips import ClipContract


    class TestMine(ClipContract):
        @pytest.fixture
        def make_clip(self):
            return lambda: Mine(limit=2.0)

Nothing else in `study` imports pytest.
"""

import pytest

pytest.register_assert_rewrite("study.testing.clips", "study.testing.configs", "study.testing.losses")
