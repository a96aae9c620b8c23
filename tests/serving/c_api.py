"""Answer questions with a SavedModel through the TensorFlow C API: no Python of TensorFlow is imported.

    python -I c_api.py < request > outputs as JSON

The request is a JSON object: `libraries` (of TensorFlow, in the order in which to load them), `operations` (the
library of TensorFlow Text's WordPiece operation), `model_dir`, `inputs` (tensor name → list of texts) and `outputs`
(output name → tensor name). Tensors have the shape [B] or [B, n]. Run by test_without_bert_squad.py.
"""

import ctypes as c
import json
import struct
import sys

FLOAT, INT32, STRING, BOOL = 1, 3, 7, 10
FORMATS = {FLOAT: "f", INT32: "i", BOOL: "?"}


class Output(c.Structure):
    _fields_ = (("operation", c.c_void_p), ("index", c.c_int))


class Text(c.Structure):
    """TF_TString."""

    _fields_ = (("raw", c.c_uint8 * 24),)


class TensorFlow:
    def __init__(self, libraries):
        for path in libraries:
            self._library = c.CDLL(path, mode=c.RTLD_GLOBAL)
        self.status = self("TF_NewStatus", c.c_void_p)

    def __call__(self, name, result=None, *arguments):
        function = getattr(self._library, name)
        function.restype = result
        return function(*arguments)

    def check(self):
        if self("TF_GetCode", c.c_int, self.status):
            sys.exit(self("TF_Message", c.c_char_p, self.status).decode())

    def load_operations(self, path):
        self("TF_LoadLibrary", c.c_void_p, path.encode(), self.status)
        self.check()

    def load_model(self, model_dir):
        self.graph = c.c_void_p(self("TF_NewGraph", c.c_void_p))
        self.session = self(
            "TF_LoadSessionFromSavedModel",
            c.c_void_p,
            c.c_void_p(self("TF_NewSessionOptions", c.c_void_p)),
            None,
            model_dir.encode(),
            (c.c_char_p * 1)(b"serve"),
            1,
            self.graph,
            None,
            self.status,
        )
        self.check()

    def place(self, tensor_name):
        operation, index = tensor_name.rsplit(":", 1)
        found = self("TF_GraphOperationByName", c.c_void_p, self.graph, operation.encode())
        if not found:
            sys.exit(f"no operation {operation}")
        return Output(found, int(index))

    def string_tensor(self, texts):
        size = c.sizeof(Text) * len(texts)
        shape = (c.c_int64 * 1)(len(texts))
        tensor = self("TF_AllocateTensor", c.c_void_p, STRING, shape, 1, c.c_size_t(size))
        cells = c.cast(self("TF_TensorData", c.c_void_p, c.c_void_p(tensor)), c.POINTER(Text))
        for number, text in enumerate(texts):
            encoded = text.encode()
            self("TF_StringInit", None, c.byref(cells[number]))
            self("TF_StringCopy", None, c.byref(cells[number]), encoded, c.c_size_t(len(encoded)))
        return tensor

    def values(self, tensor):
        kind = self("TF_TensorType", c.c_int, tensor)
        shape = [self("TF_Dim", c.c_int64, tensor, i) for i in range(self("TF_NumDims", c.c_int, tensor))]
        count = self("TF_TensorElementCount", c.c_int64, tensor)
        data = self("TF_TensorData", c.c_void_p, tensor)
        if kind == STRING:
            cells = c.cast(data, c.POINTER(Text))
            flat = [self._text(c.byref(cells[number])) for number in range(count)]
        else:
            size = struct.calcsize(FORMATS[kind]) * count
            flat = list(struct.unpack(f"={count}{FORMATS[kind]}", c.string_at(data, size)))
        if len(shape) == 1:
            return flat
        rows, columns = shape
        return [flat[row * columns : (row + 1) * columns] for row in range(rows)]

    def _text(self, cell):
        size = self("TF_StringGetSize", c.c_size_t, cell)
        return c.string_at(self("TF_StringGetDataPointer", c.c_void_p, cell), size).decode()

    def run(self, inputs, outputs):
        fed = (Output * len(inputs))(*map(self.place, inputs))
        tensors = (c.c_void_p * len(inputs))(*map(self.string_tensor, inputs.values()))
        fetched = (Output * len(outputs))(*map(self.place, outputs.values()))
        results = (c.c_void_p * len(outputs))()
        self(
            "TF_SessionRun",
            None,
            c.c_void_p(self.session),
            None,
            fed,
            tensors,
            len(inputs),
            fetched,
            results,
            len(outputs),
            None,
            0,
            None,
            self.status,
        )
        self.check()
        return {name: self.values(c.c_void_p(result)) for name, result in zip(outputs, results, strict=True)}


def main() -> None:
    request = json.load(sys.stdin)
    tensorflow = TensorFlow(request["libraries"])
    tensorflow.status = c.c_void_p(tensorflow.status)
    tensorflow.load_operations(request["operations"])
    tensorflow.load_model(request["model_dir"])
    outputs = tensorflow.run(request["inputs"], request["outputs"])
    loaded = [
        name for name in ("tensorflow", "tensorflow_text", "numpy", "bert_squad") if name in sys.modules
    ]
    if loaded:
        sys.exit(f"imported {loaded}, so this would prove nothing")
    json.dump(outputs, sys.stdout)


if __name__ == "__main__":
    main()
