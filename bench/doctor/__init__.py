"""What can run here and, for each thing that can't, why and what to do about it.

    observe.py    asks the machine; nothing is changed or set
        |         nvml.py: what NVML says of each GPU; probe.py: a child that has a GPU work
        v
    seen.py       what was seen, a frozen record
        | diagnose.py     what that means, and what to do: a pure function
        v
    findings      show.py: one screen, or JSON

With bench.machine.wheel and packages, which set it up, this is the one place in the harness that
names CuPy: what runs and times kernels can't tell which of them is a GPU's.
"""
