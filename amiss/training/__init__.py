"""One trainer for every model, and the files it leaves."""

from amiss.training.batches import Batch
from amiss.training.checkpoint import load_model, read_facts, save_model
from amiss.training.curves import curve_svg, write_curve
from amiss.training.detection import DetectionLoss
from amiss.training.evaluate import accuracy, flow_bits, head_accuracies, mean_elbo, reconstruction_error
from amiss.training.job import Trained, evaluate, train
from amiss.training.kind import Kind
from amiss.training.kinds import KINDS
from amiss.training.losses import AttributesLoss, ClassifierLoss, DensityLoss, ELBOLoss, FlowLoss, TrainingLoss
from amiss.training.presets import Preset, attributes_for, classifier_for, decoder_for, flow_for
from amiss.training.processes import joined, rank_here
from amiss.training.progress import History, Look, Progress, Watch, turned
from amiss.training.recipe import TrainingRecipe
from amiss.training.trainer import fit

__all__ = [
    "KINDS",
    "AttributesLoss",
    "Batch",
    "ClassifierLoss",
    "DensityLoss",
    "DetectionLoss",
    "ELBOLoss",
    "FlowLoss",
    "History",
    "Kind",
    "Look",
    "Preset",
    "Progress",
    "Trained",
    "TrainingLoss",
    "TrainingRecipe",
    "Watch",
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
    "joined",
    "load_model",
    "mean_elbo",
    "rank_here",
    "read_facts",
    "reconstruction_error",
    "save_model",
    "train",
    "turned",
    "write_curve",
]
