"""Pure physics: functions on arrays that know nothing of databases or workflows."""
