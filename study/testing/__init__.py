"""Contract suites for members of your own: pytest classes that hold every claim a core, a probe or a task must meet.

    import pytest
    from study.testing.cores import CoreContract

    class TestMyCell(CoreContract):
        @pytest.fixture
        def core_class(self):
            return MyCell

Every claim is one test; its docstring says what is claimed. This project's own tests run the same classes over all
members of the registries. pytest has to be installed.
"""

import pytest

pytest.register_assert_rewrite("study.testing.cores", "study.testing.probes", "study.testing.tasks")
