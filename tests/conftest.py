import torch

torch.set_num_threads(1)  # the same sums on every machine; tiny networks gain nothing from more
