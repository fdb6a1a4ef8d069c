"""What pyproject.toml cannot say: every package is shipped, unnamed, and conf/ becomes `study/conf` in a wheel."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["study", "study.*"]), "study.conf", "hydra_plugins"],
    package_dir={"study.conf": "conf", "hydra_plugins": "study/hydra_plugins"},
)
