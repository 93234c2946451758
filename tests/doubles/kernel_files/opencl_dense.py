"""The layer in OpenCL: a device with memory, a queue and a clock of its own.

    .venv/bin/python -m pip install 'pyopencl[pocl]'
    python -m bench run --kernel tests/doubles/kernel_files/opencl_dense.py --kernel numpy_matmul

PoCL makes an OpenCL device of a CPU; with a GPU's OpenCL driver the file is the same. One work item
computes one number of the output, straight from the definition: simple, right and slow.
"""

import os

os.environ.setdefault("PYOPENCL_NO_CACHE", "1")  # leave nothing behind in the home directory
os.environ.setdefault("POCL_KERNEL_CACHE", "0")

import numpy as np
import pyopencl as cl

from kernels import Host, Step, Unavailable, Unsupported, supported

SOURCE = """
__kernel void dense(__global const float *A_in, __global const float *W, __global const float *b,
                    __global float *A_out, int n_in) {
  int row = get_global_id(0), unit = get_global_id(1), n_units = get_global_size(1);
  float z = b[unit];
  for (int i = 0; i < n_in; i++)
    z += A_in[row * n_in + i] * W[i * n_units + unit];
  A_out[row * n_units + unit] = ACTIVATE(z);
}
"""

ACTIVATE = {
    "linear": "(z)",
    "relu": "fmax(z, 0.0f)",
    "sigmoid": "(0.5f * tanh(0.5f * (z)) + 0.5f)",
    "tanh": "tanh(z)",
}


class Device(Host):
    """An OpenCL device and one queue on it, whose events are its clock.

    Memory and caches are taken for the host's, as they are on a CPU; for a GPU those three methods
    would be its own.
    """

    warm_s = 0.01
    eager = True  # a queue does all that is in it

    def __init__(self, index):
        try:
            found = [d for platform in cl.get_platforms() for d in platform.get_devices()]
        except cl.LogicError as error:  # not one platform
            raise Unavailable(f"OpenCL finds no device: {error}") from error
        if index >= len(found):
            raise Unavailable(f"no OpenCL device {index}: this machine has {len(found)}")
        self.context = cl.Context([found[index]])
        timed = cl.command_queue_properties.PROFILING_ENABLE
        self.queue = cl.CommandQueue(self.context, properties=timed)
        self.name = f"opencl:{index} {found[index].name}"

    def mark(self, out):
        return cl.enqueue_marker(self.queue)  # an event that is done when all before it is

    def seconds(self, start, stop):
        stop.wait()
        return (stop.profile.end - start.profile.end) / 1e9  # the device's own nanoseconds

    def fence(self, out):
        self.queue.finish()


def prepare(layer, batch, device=0):
    if layer.precision != "float32":
        raise Unsupported(f"precision {layer.precision}")
    formula = supported("activation", layer.activation, ACTIVATE)
    there = Device(device)
    queue, flags = there.queue, cl.mem_flags

    def upload(array):
        array = np.ascontiguousarray(array)
        return cl.Buffer(there.context, flags.READ_ONLY | flags.COPY_HOST_PTR, hostbuf=array)

    W, b = upload(layer.W), upload(layer.b)
    x = cl.Buffer(there.context, flags.READ_ONLY, batch * layer.n_in * 4)
    out = cl.Buffer(there.context, flags.WRITE_ONLY, batch * layer.n_units * 4)
    activate = f"-DACTIVATE(z)={formula}".replace(" ", "")
    dense = cl.Kernel(cl.Program(there.context, SOURCE).build([activate]), "dense")
    shape, n_in = (batch, layer.n_units), np.int32(layer.n_in)

    def send(A_in):  # (batch, n_in), copied before this returns
        cl.enqueue_copy(queue, x, np.ascontiguousarray(A_in))
        return x

    def launch(A_in):
        dense(queue, shape, None, A_in, W, b, out, n_in)
        return out

    def fetch(out):
        host = np.empty((batch, layer.n_units), np.float32)
        cl.enqueue_copy(queue, host, out)
        return host

    return Step(launch, send=send, fetch=fetch, device=there)
