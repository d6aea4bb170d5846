import os

os.environ["HF_HUB_OFFLINE"] = "1"  # no test fetches weights; huggingface_hub reads this when it is imported

import torch

torch.set_num_threads(1)  # the same sums on every machine; tiny networks gain nothing from more
