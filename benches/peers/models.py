"""Seeded CLIPs of the published sizes, for ours and for the peers: python models.py FOLDER [NAME...]

Each becomes a Hugging Face folder, with the image tower as vision.onnx beside it. The weights are
random, of the spread that keeps activations of order one; speed does not depend on them.
"""

import pathlib
import shutil
import sys

import torch
from transformers import CLIPConfig, CLIPModel, CLIPImageProcessor

SIZES = {
    # so small that a run waits for its photos, also where every stage has the same two cores
    "tiny": dict(width=64, layers=2, patch=32, size=64, text=64, text_layers=2, out=64),
    "vit-b-32": dict(width=768, layers=12, patch=32, size=224, text=512, text_layers=12, out=512),
    "vit-b-16": dict(width=768, layers=12, patch=16, size=224, text=512, text_layers=12, out=512),
    "vit-l-14": dict(width=1024, layers=24, patch=14, size=224, text=768, text_layers=12, out=768),
}


class Vision(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model, self.projection = model.vision_model, model.visual_projection

    def forward(self, pixel_values):
        return self.projection(self.model(pixel_values=pixel_values).pooler_output)


def make(folder, name, tokenizer=None, onnx=True):
    folder = pathlib.Path(folder) / name
    if (folder / ("vision.onnx" if onnx else "model.safetensors")).exists():
        return folder
    of = SIZES[name]
    tower = lambda width, layers: dict(
        hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers,
        num_attention_heads=width // 64, hidden_act="quick_gelu", projection_dim=of["out"])
    config = CLIPConfig(
        text_config=dict(vocab_size=49408, eos_token_id=49407, bos_token_id=49406, pad_token_id=49407,
                         **tower(of["text"], of["text_layers"])),
        vision_config=dict(image_size=of["size"], patch_size=of["patch"], **tower(of["width"], of["layers"])),
        projection_dim=of["out"])
    torch.manual_seed(0)
    model = CLIPModel(config).eval()
    with torch.no_grad():
        for key, p in model.named_parameters():
            if p.dim() > 1 and "embedding" not in key:
                p.uniform_(-1, 1).mul_((3.0 / p[0].numel()) ** 0.5)
    model.save_pretrained(folder)
    size = {"height": of["size"], "width": of["size"]}
    CLIPImageProcessor(size={"shortest_edge": of["size"]}, crop_size=size).save_pretrained(folder)
    if tokenizer:
        shutil.copy(tokenizer, folder / "tokenizer.json")
    if not onnx:
        return folder
    batch = torch.zeros(2, 3, of["size"], of["size"])
    torch.onnx.export(Vision(model).eval(), (batch,), folder / "vision.onnx", input_names=["pixel_values"],
                      output_names=["features"], dynamic_shapes={"pixel_values": {0: torch.export.Dim("rows")}},
                      dynamo=True, verbose=False)
    return folder


if __name__ == "__main__":
    for name in sys.argv[2:] or [n for n in SIZES if n != "tiny"]:
        print(make(sys.argv[1], name))
