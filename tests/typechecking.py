"""Check annotated shapes and types at run time, as a reader takes them: an int is a float, too (PEP 484)."""
from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
