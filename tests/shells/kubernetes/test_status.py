"""What `kubectl get` shows, what stands in the way, and how often it is written."""

from scaletune.api.action import Finish
from scaletune.api.conditions import FINISHED, READY, condition
from scaletune.core.ledger import Ledger
from scaletune.core.summarise import differs_beyond_cost
from scaletune.shells.kubernetes import settings
from scaletune.shells.kubernetes.hindrances.findings import Findings
from scaletune.shells.kubernetes.hindrances.starting import Obstacle
from scaletune.shells.kubernetes.turn import status
from tests.shells.kubernetes import given


def test_a_problem_is_a_condition_with_its_remedy() -> None:
    study, problem = given.study(), Obstacle("TemplateRefused", "give a command")

    new = status.study_status(study, Ledger.of(study, []), given.NOW, None, Findings(problem))

    ready = condition(new.conditions, READY)
    assert ready is not None
    assert (ready.status, ready.reason, ready.message) == (
        "False",
        "TemplateRefused",
        "give a command",
    )


def test_a_finished_study_says_why() -> None:
    study = given.study()

    finish = Finish("Completed", "all is done")
    new = status.study_status(study, Ledger.of(study, []), given.NOW, finish, Findings())

    finished = condition(new.conditions, FINISHED)
    assert finished is not None
    assert (finished.status, finished.reason) == ("True", "Completed")


def test_cost_alone_is_told_apart_from_everything_else() -> None:
    study = given.study()
    old = status.study_status(study, Ledger.of(study, []), given.NOW, None, Findings())
    dearer = old.model_copy(update={"gpu_hours": "12.00"})
    further = dearer.model_copy(update={"progress": "1/4"})

    assert not status.differs(old, old)
    assert status.differs(old, dearer)
    assert not differs_beyond_cost(old, dearer)
    assert differs_beyond_cost(old, further)


def test_a_setting_that_is_no_number_is_named() -> None:
    message = ""
    try:
        settings.Settings.of({"SCALETUNE_SCRAPE_SECONDS": "soon"})
    except ValueError as error:
        message = str(error)

    assert message == "SCALETUNE_SCRAPE_SECONDS must be a number above 0, but is 'soon'"
