"""Which classes are related: those of ImageNet by a coarse table, those of any classifier by its confusions."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.data import Images
from amiss.errors import DataError

__all__ = ["IMAGENET_KINDS", "confusion_distance", "imagenet_distance", "is_imagenet"]

IMAGENET_KINDS: Mapping[str, str] = {
    "animal/fish/bony fish": "0-1 389-397",
    "animal/fish/shark": "2-4",
    "animal/fish/ray": "5-6",
    "animal/bird/fowl": "7-8 80-86",
    "animal/bird/ostrich": "9",
    "animal/bird/songbird": "10-20",
    "animal/bird/bird of prey": "21-24",
    "animal/bird/parrot": "87-90",
    "animal/bird/tropical bird": "91-96",
    "animal/bird/waterfowl": "97-100",
    "animal/bird/wader": "127-143",
    "animal/bird/seabird": "144-146",
    "animal/amphibian/salamander": "25-29",
    "animal/amphibian/frog": "30-32",
    "animal/reptile/turtle": "33-37",
    "animal/reptile/lizard": "38-48",
    "animal/reptile/crocodile": "49-50",
    "animal/reptile/dinosaur": "51",
    "animal/reptile/snake": "52-68",
    "animal/arthropod/trilobite": "69",
    "animal/arthropod/arachnid": "70-78",
    "animal/arthropod/centipede": "79",
    "animal/arthropod/crustacean": "118-126",
    "animal/arthropod/beetle": "300-307",
    "animal/arthropod/insect": "308-320",
    "animal/arthropod/butterfly": "321-326",
    "animal/invertebrate/cnidarian": "107-109",
    "animal/invertebrate/worm": "110-111",
    "animal/invertebrate/mollusk": "112-117",
    "animal/invertebrate/echinoderm": "327-329",
    "animal/mammal/elephant": "101 385-386",
    "animal/mammal/monotreme": "102-103",
    "animal/mammal/marsupial": "104-106",
    "animal/mammal/sea mammal": "147-150",
    "animal/mammal/dog": "151-268",
    "animal/mammal/wolf or fox": "269-280",
    "animal/mammal/cat": "281-293",
    "animal/mammal/bear": "294-297 387-388",
    "animal/mammal/weasel": "298-299 356-362",
    "animal/mammal/rodent or hare": "330-338",
    "animal/mammal/horse": "339-340",
    "animal/mammal/pig": "341-344",
    "animal/mammal/ruminant": "345-355",
    "animal/mammal/sloth": "363-364",
    "animal/mammal/primate": "365-384",
    "thing/vehicle/road": (
        "407-408 436 444 468 511 555 561 569 573 575 586 595 603 609 612 627 654 656 661 665 670-671 675 690 717 734 "
        "751 757 779 802-803 817 847 856 864 866-867 870 874 880"
    ),
    "thing/vehicle/rail": "466 547 565 705 820 829",
    "thing/vehicle/boat": "403 472 484 510 554 576 625 628 780 814 833 871 913-914",
    "thing/vehicle/aircraft": "404-405 417 657 744 812 895 908",
    "thing/music/instrument": (
        "401-402 420 432 486 494 513 541 546 558 566 577 579 593-594 641-642 683-684 687 699 776 822 875 881 889"
    ),
    "thing/clothing/garment": (
        "399-400 411 443 445 451 457 459 474 501 529 552 568 578 601 608 610 614 617 638-639 652 655 658 667 689 697 "
        "735 775 806 834 841-842 869 887 906"
    ),
    "thing/clothing/headgear": "433 439 452 515 518 560 715 793 796 808",
    "thing/clothing/shoe": "502 514 630 770 774",
    "thing/building/house": (
        "410 415 424-425 449 454 467 483 497-498 500 509 580 582 624 660 663 668 698 727 743 762 788 832 860 865 915"
    ),
    "thing/building/structure": "437 442 460 525 536 538 649 682 706 718 821 839 863 873 888 900",
    "thing/building/fence": "489 716 825 912",
    "thing/household/furniture": "423 431 453 492-493 495 516 520 526 532 548 559 564 703 765 831 846 857 894",
    "thing/household/vessel": (
        "412 427 438 440-441 463 469 503-505 521 544 567 572 647 653 659 666 712 725 737-738 756 809 849 868 876 883 "
        "891 898-899 901 907 909 968"
    ),
    "thing/household/appliance": "534 545 550 589 606 651 760 811 827 859 882 897",
    "thing/device/electronic": (
        "482 485 487 508 527-528 590 592 598 605 613 620 632 650 662 664 673 688 707 713 732 742 745 754 759 761 782 "
        "810 848 851 878"
    ),
    "thing/device/clock": "409 530-531 604 826 835 892",
    "thing/arms/weapon": "413 456 471 763-764",
    "thing/sport/ball": "429-430 522 574 722 747 768 805 852 890",
    "thing/sport/apparatus": "416 422 543 602 702 746 752 795",
    "thing/tool/hand tool": "462 473 477 491 499 512 587 596 623 677 726 730 740 783-784 792",
    "thing/print/page": "916-918 921-922",
    "thing/street/sign": "704 919-920",
    "food/cooked/dish": "923-926 933-935 959-965",
    "food/cooked/bread": "930-932",
    "food/cooked/dessert": "927-929",
    "food/grown/vegetable": "936-946 987 998",
    "food/grown/fruit": "948-957",
    "food/drink/drink": "966-967 969",
    "nature/land/mountain": "970 972 979-980",
    "nature/land/water": "973-978",
    "nature/plant/flower": "984-986",
    "nature/plant/seed": "958 988-990",
    "nature/fungus/mushroom": "947 991-997",
    "person": "981-983",
}
"""Kinds of the classes of ImageNet in their usual order; those in no list are things. From the wide to the narrow."""

_DEPTH = 3
_LANDMARKS = {0: "tench", 207: "golden retriever", 281: "tabby", 817: "sports car", 999: "toilet tissue"}


def is_imagenet(labels: Sequence[str] | None) -> bool:
    """Whether these are the thousand classes in their usual order, told by the names of five."""
    if labels is None or len(labels) != 1000:
        return False
    return all(name in labels[i].lower().replace("_", " ") for i, name in _LANDMARKS.items())


def imagenet_distance() -> Tensor:
    """How far the classes of ImageNet are apart: levels of `IMAGENET_KINDS` that they do not share.

    Returns:
        Distances [1000, 1000], int64: 0 for two dogs, 1 for a dog and a cat, 2 for a dog and a bird, 3 for a dog and
        a boat; 0 on the diagonal. Two things of no narrower kind are 2 apart.
    """
    kind = ["thing"] * 1000
    for name, listed in IMAGENET_KINDS.items():
        for part in listed.split():
            first, _, last = part.partition("-")
            for i in range(int(first), int(last or first) + 1):
                kind[i] = name
    far = torch.full((1000, 1000), _DEPTH)
    for level in range(1, _DEPTH + 1):
        names = [
            "/".join(parts[:level]) if len(parts := one.split("/")) >= level else f"{i}" for i, one in enumerate(kind)
        ]
        place = {name: k for k, name in enumerate(dict.fromkeys(names))}
        code = torch.tensor([place[name] for name in names])
        far -= (code[:, None] == code).long()
    return far.fill_diagonal_(0)


@torch.no_grad()
def confusion_distance(classifier: Classifier, images: Images, batch: int = 200) -> Tensor:
    """How seldom a classifier takes the one class for the other: for classes that no table is known of.

    Args:
        classifier: Who is asked.
        images: Labeled images of all its classes.
        batch: Images a pass.

    Returns:
        Distances [m, m] in [0, 1], float64: 1 less the mean of p(j) over images of i and of p(i) over images of j; 0
        on the diagonal.

    Raises:
        DataError: The images have no labels, or a class has none.
    """
    labels = images.truth
    logits = [classifier.outputs(images.images(rows))["answer"] for rows in torch.arange(len(images)).split(batch)]
    said = torch.cat(logits).double().softmax(-1).cpu()
    count = torch.bincount(labels, minlength=said.shape[1])
    if bool((count == 0).any()):
        raise DataError(
            "Confusions cannot be told of classes without images.",
            slug="champions-confusion",
            seen=f"{int((count == 0).sum())} of {len(count)} classes have none",
            needed="labeled images of every class",
            hint="Give images of all classes, such as those of training.",
        )
    mean = torch.zeros(len(count), said.shape[1], dtype=torch.float64).index_add(0, labels, said) / count[:, None]
    return (1 - (mean + mean.T) / 2).fill_diagonal_(0)
