"""Contract suites: the claims every member must meet, as pytest classes for the tests of this project and of a user's.

    import pytest
    from study.testing.cores import CoreContract

    class TestMyCell(CoreContract):
        @pytest.fixture
        def core_class(self):
            return MyCell

Every claim is one test; its docstring says what is claimed. This project's own tests run the same classes over all
members of the registries. Nothing else in `study` imports pytest, which has to be installed.
"""

import pytest

SUITES = ("clips", "configs", "cores", "losses", "opponents", "probes", "regularizers", "tasks")

pytest.register_assert_rewrite(*(f"study.testing.{suite}" for suite in SUITES))
