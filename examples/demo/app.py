"""Ask an exported model in the browser: python examples/demo/app.py --model=quickstart/export"""

import argparse
import sys

import gradio as gr

from bert_squad import ExportedModel
from bert_squad.bulk.rows import without_placeholder
from bert_squad.errors import BertSquadError

PASSAGE = "Irene Berg was born in Rome. She went to school in Geneva and bought a house in Leeds."
NO_ANSWER = "(no answer)"


def ask(model: ExportedModel, passage: str, question: str) -> tuple[str, list, list]:
    """Return the best answer, the passage in parts of which the answer is marked, and the rows of the n-best list."""
    if not (passage.strip() and question.strip()):
        return f"{NO_ANSWER} It takes a passage and a question.", [(passage, None)], []
    try:
        (found,) = map(without_placeholder, model.answer([question], [passage]))
    except BertSquadError as error:
        raise gr.Error(str(error)) from None
    nbest = [[entry["text"] or NO_ANSWER, f"{entry['probability']:.2%}"] for entry in found["nbest"]]
    start, end = found["start_char"], found["end_char"]
    if start < 0:
        return NO_ANSWER, [(passage, None)], nbest
    parts = [(passage[:start], None), (passage[start:end], "answer"), (passage[end:], None)]
    return found["answer"], [part for part in parts if part[0]], nbest


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="what --do_export wrote; load only what you trust")
    try:
        model = ExportedModel(parser.parse_args().model)
    except BertSquadError as problem:
        sys.exit(f"{parser.prog}: error: {problem}")
    with gr.Blocks(title="bert_squad", analytics_enabled=False) as page:
        gr.Markdown("# Ask about a passage")
        texts = [gr.Textbox(PASSAGE, label="Passage", lines=4), gr.Textbox(label="Question")]
        button = gr.Button("Ask")
        shown = [
            gr.Textbox(label="Answer", interactive=False),
            gr.HighlightedText(label="Where it stands", show_inline_category=False),
            gr.Dataframe(headers=["answer", "probability"], label="N-best", interactive=False),
        ]
        asked = [button.click, texts[1].submit]
        gr.on(asked, lambda *given: ask(model, *given), texts, shown, api_name="ask")
    page.launch()
