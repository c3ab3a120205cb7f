"""The boot benchmark: the same services under linit and under the other inits of Debian, in the same machine.

`job` and the sets (`graph`, `real`) answer "what is started", `peers` "how does each init say so", `disk` "what is on
its disk", `guest` "how is it run and asked", `measure` "what is measured", `results`, `table` and `picture` "what came
out". `command` is the command line of `vm-tests/bench`. vm-tests/README.md says how each peer is configured.
"""
