from .ageing import Ageing
from .survey import SurveyReport, write_survey

__all__ = ["Ageing", "SurveyReport", "write_survey"]
