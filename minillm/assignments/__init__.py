"""Turn a notebook into an assignment, and grade what comes back so that the score can be trusted.

One master notebook holds everything: the stub that students fill in, the solution, public checks (feedback, no
points), hidden checks (points), and typical mistakes that the hidden checks must catch.

    build    master -> student, solution and grading notebooks        (build.py, master.py, variants.py)
    verify   solutions score 100 %, blank 0 %, each mistake its score (verify.py, holes.py)
    grade    submissions -> points, reasons, reports                  (collect.py, run.py, grade.py, reports.py)
    check    tell a student what a submission lacks                   (lint.py)

nbval executes every run and compares what the hidden checks print with what the reference answer printed.  The
student's code runs in a kernel of its own, inside bubblewrap where there is one (sandbox.py); the expected values
never enter that kernel, and the verdicts leave by a pipe that it does not hold (plugin.py).
"""
