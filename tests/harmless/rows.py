"""What a row of run.py is."""
import collections

# name, the program (or file) it needs, a shell script, normalisation: regular expressions whose matches are removed, or
# `keep`: of each line only what matches is kept, lines without a match are not.
# may_fail: the program may fail without softxe, too; then it has to fail in the same way.
# as_nobody: it refuses to run as root; softxe is started by an ordinary user then.
Row = collections.namedtuple("Row", "name needs script drop keep may_fail as_nobody", defaults=((), None, False, False))
