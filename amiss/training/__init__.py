"""One trainer for every model, and the files it leaves."""

from amiss.training.batches import Batch
from amiss.training.checkpoint import load_model, read_facts, save_model
from amiss.training.curves import curve_svg, write_curve
from amiss.training.detection import DetectionLoss
from amiss.training.evaluate import accuracy, flow_bits, head_accuracies, mean_elbo, reconstruction_error
from amiss.training.job import Trained, evaluate, train
from amiss.training.losses import AttributesLoss, ClassifierLoss, ELBOLoss, FlowLoss, TrainingLoss
from amiss.training.presets import Preset, attributes_for, classifier_for, decoder_for, flow_for
from amiss.training.recipe import TrainingRecipe
from amiss.training.trainer import History, Progress, fit

__all__ = [
    "AttributesLoss",
    "Batch",
    "ClassifierLoss",
    "DetectionLoss",
    "ELBOLoss",
    "FlowLoss",
    "History",
    "Preset",
    "Progress",
    "Trained",
    "TrainingLoss",
    "TrainingRecipe",
    "accuracy",
    "attributes_for",
    "classifier_for",
    "curve_svg",
    "decoder_for",
    "evaluate",
    "fit",
    "flow_bits",
    "flow_for",
    "head_accuracies",
    "load_model",
    "mean_elbo",
    "read_facts",
    "reconstruction_error",
    "save_model",
    "train",
    "write_curve",
]
