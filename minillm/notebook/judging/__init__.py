"""Judge an answer: run it on every case, compare, and find out what went wrong.

trials      every case is run; a crash, a changed input and an endless loop are outcomes like any other
mutants     small mistakes, derived from the reference (what could change: `changes`)
facts       what is true of the wrong values whatever their cause (`figures`, `tensors`, `contents`: a closer look)
causes      which listed mistakes, pairs of them, or mutants give the same
forbidden   names that an answer must not use, because they are the answer
"""
