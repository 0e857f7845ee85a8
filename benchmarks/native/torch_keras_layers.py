"""Keras' layers with autograd's backward and the optimizer's apply, as Keras' guide for PyTorch writes it."""

from __future__ import annotations

import torch

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def training(model, optimizer, loss_fn, accuracy):
    """Return a function of (x, y) that trains."""
    optimizer.build(model.trainable_variables)

    def step(x, y):
        x, y = torch.from_numpy(x).to(DEVICE), torch.from_numpy(y).to(DEVICE)
        logits = model(x, training=True)
        loss = loss_fn(y, logits)
        model.zero_grad()
        loss.backward()
        gradients = [v.value.grad for v in model.trainable_variables]
        with torch.no_grad():
            optimizer.apply(gradients, model.trainable_variables)
            accuracy.update_state(y, logits)
        return loss

    return step


def prediction(model):
    """Return a function of x that returns the model's outputs as numpy."""

    @torch.inference_mode()
    def predict(x):
        return model(torch.from_numpy(x).to(DEVICE), training=False).cpu().numpy()

    return predict
