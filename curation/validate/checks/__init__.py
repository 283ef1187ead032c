"""Image checks: raw measures as cells pass by, then scores and flags over all of them."""

from .calibrate import LEAST_CELLS, Checked, calibrate
from .check import CHECK_NAMES, CHECKS, Check
from .check_report import AcquisitionThreshold, CheckReport, CheckResult, check_lines
from .drop import chosen_checks, flag_reasons
from .fine import FineDetail, fine_detail
from .measures import Measures, check_scores

__all__ = [
    "CHECKS",
    "CHECK_NAMES",
    "LEAST_CELLS",
    "AcquisitionThreshold",
    "Check",
    "CheckReport",
    "CheckResult",
    "Checked",
    "FineDetail",
    "Measures",
    "calibrate",
    "check_lines",
    "check_scores",
    "chosen_checks",
    "fine_detail",
    "flag_reasons",
]
