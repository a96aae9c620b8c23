"""Two messages that TF Serving reads and tensorflow-serving-api lacks, made from their fields.

Source: tensorflow/serving, servables/tensorflow/session_bundle_config.proto (BatchingParameters, as all versions since
1.15 know it) and config/monitoring_config.proto.
"""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

_Field = descriptor_pb2.FieldDescriptorProto
_FIELDS = {
    "BatchingParameters": {
        "max_batch_size": "Int64Value",
        "batch_timeout_micros": "Int64Value",
        "max_enqueued_batches": "Int64Value",
        "num_batch_threads": "Int64Value",
        "thread_pool_name": "StringValue",
        "allowed_batch_sizes": [int],
        "pad_variable_length_inputs": bool,
    },
    "PrometheusConfig": {"enable": bool, "path": str},
    "MonitoringConfig": {"prometheus_config": "PrometheusConfig"},
}
_TYPES = {bool: _Field.TYPE_BOOL, str: _Field.TYPE_STRING, int: _Field.TYPE_INT64}


def _message(name: str):
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"bert_squad_tests.{name}"))


def _pool_with_fields() -> descriptor_pool.DescriptorPool:
    file = descriptor_pb2.FileDescriptorProto(
        name="server_protos.proto",
        package="bert_squad_tests",
        syntax="proto3",
        dependency=[wrappers_pb2.DESCRIPTOR.name],
    )
    for name, fields in _FIELDS.items():
        message = file.message_type.add(name=name)
        for number, (field, kind) in enumerate(fields.items(), 1):
            label = _Field.LABEL_REPEATED if isinstance(kind, list) else _Field.LABEL_OPTIONAL
            kind = kind[0] if isinstance(kind, list) else kind
            added = message.field.add(name=field, number=number, label=label)
            if isinstance(kind, str):
                package = "google.protobuf" if kind.endswith("Value") else "bert_squad_tests"
                added.type, added.type_name = _Field.TYPE_MESSAGE, f".{package}.{kind}"
            else:
                added.type = _TYPES[kind]
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    return pool


_pool = _pool_with_fields()
BatchingParameters = _message("BatchingParameters")
MonitoringConfig = _message("MonitoringConfig")
