"""The wheel also carries the repository's notebooks and parameter files, as twostamp/study."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithStudy(build_py):
    """Copies them beside the package, but for an editable install, which uses those of the repository."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            study = Path(self.build_lib, "twostamp", "study")
            shutil.rmtree(study, ignore_errors=True)
            for folder, pattern in (("notebooks", "*.ipynb"), ("params", "*.yaml")):
                (study / folder).mkdir(parents=True)
                for path in Path(folder).glob(pattern):
                    shutil.copyfile(path, study / folder / path.name)


setup(cmdclass={"build_py": BuildWithStudy})
