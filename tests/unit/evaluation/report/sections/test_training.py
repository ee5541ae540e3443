"""What is said of training that nothing was warned of."""

import pandas as pd
from unit.evaluation.report.sections.sections_support import rendered

from evaluation.report.sections.training.numbers import TrainingSection, measure_training


def logged(looks: int, *metrics: str) -> pd.DataFrame:
    rows = [(step, "validation", metric, 1.0) for step in range(looks) for metric in ("ndcg@10", *metrics)]
    return pd.DataFrame(rows, columns=["step", "split", "metric", "value"])


def page_of(section: TrainingSection) -> str:
    return " ".join(rendered("training", section, []).split())


def test_no_warning_is_said_with_what_was_looked_for() -> None:
    curves = {
        "critic": logged(6, "value_policy", "action_saturation"),
        "imitation": logged(1, "action_saturation"),
        "sequence": logged(3),
        "pulled": logged(3),
    }
    warnings = {name: None if name == "pulled" else [] for name in curves}
    page = page_of(measure_training(curves, warnings))
    assert "No early warning was raised." in page
    assert "critic: values beyond possible returns, saturated actions (6 validations);" in page
    assert "imitation: saturated actions (1 validation);" in page
    assert "sequence: too little was logged (3 validations);" in page
    assert "pulled: early warnings were not recorded." in page


def test_a_report_of_before_claims_nothing() -> None:
    assert "Checks for early warnings: not recorded." in page_of(TrainingSection(curves=(), warnings=()))
