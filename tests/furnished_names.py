"""A small home of models and a run, for tests that only list and show; nothing was trained."""

import shutil

from dashboard.furnished import furnish

NAME = "қазақша"


def named_home(home):
    """Models `plain` and NAME, and the run `plain-1`, which has ended."""
    furnish(home)
    for name, target in (("salt-road", "plain"), ("tang-poems", NAME)):
        shutil.copytree(home / "models" / name, home / "models" / target)
    (home / "runs" / "salt-road-3").rename(home / "runs" / "plain-1")
    status = home / "runs" / "plain-1" / "status.json"
    status.write_text(status.read_text().replace('"salt-road"', f'"{NAME}"'), encoding="utf-8")
    return home
