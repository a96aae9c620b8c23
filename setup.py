"""Package description; `pip install .` is all that a user needs."""

from pathlib import Path

from setuptools import find_packages, setup

# Lower bounds are what was tried (BUILD_NOTES.md).
# TensorFlow, TensorFlow Text, tf_keras and the Model Garden only fit together within one line. Without upper
# bounds an old pip takes the newest TensorFlow Text and then walks the Model Garden back until it fails.
LINE = "~=2.20.0"

setup(
    name="bert-squad",
    version="0.1.0",
    description="Question answering with BERT on SQuAD: the legacy run_squad.py in TensorFlow 2 and Keras",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11,<3.14",
    packages=find_packages(include=["bert_squad", "bert_squad.*"]),
    package_data={
        "bert_squad": ["py.typed"],
        "bert_squad.explain": ["*.j2", "*.css", "*.js"],
        "bert_squad.report": ["templates/*"],
    },
    py_modules=["run_squad"],
    install_requires=[
        f"tensorflow{LINE}",
        f"tensorflow-text{LINE}",
        f"tf-keras{LINE}",
        f"tf-models-official{LINE}",
        "absl-py>=1.4",
        "grpcio>=1.60",  # TensorFlow requires it too
        "Jinja2>=3.1",
        "ml-dtypes>=0.5.1",
        "numpy>=2.0",
        "safetensors>=0.4.3",  # before that it cannot read bfloat16
        "tqdm>=4.60",
    ],
    extras_require={
        "gpu": [f"tensorflow[and-cuda]{LINE}"],
        "beam": ["apache-beam>=2.77"],  # add [gcp] of its own for Dataflow
        "parquet": ["pyarrow>=14"],
        "openvino": ["openvino>=2026.4", "nncf>=3.4"],
        "serving": [f"tensorflow-serving-api{LINE}"],
        "test": [
            f"tensorflow-serving-api{LINE}",
            "pytest>=8",
            "pytest-xdist>=3.6",
            "hypothesis>=6.170",
            "playwright>=1.50",
            "ruff>=0.17.6",
            "mypy>=2.4.1",
        ],
    },
    entry_points={"console_scripts": ["bert-squad = bert_squad.cli.start:console"]},
)
