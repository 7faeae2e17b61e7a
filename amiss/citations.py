"""The papers behind the recipes, as BibTeX: `amiss show DIR --bibtex` prints those that a run used."""

__all__ = ["BIBTEX", "bibtex", "reference"]

BIBTEX = {
    "goodfellow2015": """@inproceedings{goodfellow2015,
  author = {Ian J. Goodfellow and Jonathon Shlens and Christian Szegedy},
  title = {Explaining and Harnessing Adversarial Examples},
  booktitle = {International Conference on Learning Representations},
  year = {2015},
  eprint = {1412.6572}
}""",
    "szegedy2014": """@inproceedings{szegedy2014,
  author = {Christian Szegedy and Wojciech Zaremba and Ilya Sutskever and Joan Bruna and Dumitru Erhan and
    Ian Goodfellow and Rob Fergus},
  title = {Intriguing Properties of Neural Networks},
  booktitle = {International Conference on Learning Representations},
  year = {2014},
  eprint = {1312.6199}
}""",
    "carlini2017": """@inproceedings{carlini2017,
  author = {Nicholas Carlini and David Wagner},
  title = {Towards Evaluating the Robustness of Neural Networks},
  booktitle = {IEEE Symposium on Security and Privacy},
  year = {2017},
  eprint = {1608.04644}
}""",
    "rony2019": """@inproceedings{rony2019,
  author = {J{\\'e}r{\\^o}me Rony and Luiz G. Hafemann and Luiz S. Oliveira and Ismail {Ben Ayed} and
    Robert Sabourin and Eric Granger},
  title = {Decoupling Direction and Norm for Efficient Gradient-Based L2 Adversarial Attacks and Defenses},
  booktitle = {IEEE Conference on Computer Vision and Pattern Recognition},
  year = {2019},
  eprint = {1811.09600}
}""",
    "mahendran2015": """@inproceedings{mahendran2015,
  author = {Aravindh Mahendran and Andrea Vedaldi},
  title = {Understanding Deep Image Representations by Inverting Them},
  booktitle = {IEEE Conference on Computer Vision and Pattern Recognition},
  year = {2015},
  eprint = {1412.0035}
}""",
    "sabour2016": """@inproceedings{sabour2016,
  author = {Sara Sabour and Yanshuai Cao and Fartash Faghri and David J. Fleet},
  title = {Adversarial Manipulation of Deep Representations},
  booktitle = {International Conference on Learning Representations},
  year = {2016},
  eprint = {1511.05122}
}""",
    "liu1989": """@article{liu1989,
  author = {Dong C. Liu and Jorge Nocedal},
  title = {On the Limited Memory BFGS Method for Large Scale Optimization},
  journal = {Mathematical Programming},
  volume = {45},
  year = {1989}
}""",
    "byrd1995": """@article{byrd1995,
  author = {Richard H. Byrd and Peihuang Lu and Jorge Nocedal and Ciyou Zhu},
  title = {A Limited Memory Algorithm for Bound Constrained Optimization},
  journal = {SIAM Journal on Scientific Computing},
  volume = {16},
  number = {5},
  year = {1995}
}""",
    "athalye2018": """@inproceedings{athalye2018,
  author = {Anish Athalye and Logan Engstrom and Andrew Ilyas and Kevin Kwok},
  title = {Synthesizing Robust Adversarial Examples},
  booktitle = {International Conference on Machine Learning},
  year = {2018},
  eprint = {1707.07397}
}""",
    "madry2018": """@inproceedings{madry2018,
  author = {Aleksander Madry and Aleksandar Makelov and Ludwig Schmidt and Dimitris Tsipras and Adrian Vladu},
  title = {Towards Deep Learning Models Resistant to Adversarial Attacks},
  booktitle = {International Conference on Learning Representations},
  year = {2018},
  eprint = {1706.06083}
}""",
    "andriushchenko2020": """@inproceedings{andriushchenko2020,
  author = {Maksym Andriushchenko and Francesco Croce and Nicolas Flammarion and Matthias Hein},
  title = {Square Attack: a query-efficient black-box adversarial attack via random search},
  booktitle = {European Conference on Computer Vision},
  year = {2020},
  eprint = {1912.00049}
}""",
    "chen2020": """@inproceedings{chen2020,
  author = {Jianbo Chen and Michael I. Jordan and Martin J. Wainwright},
  title = {{HopSkipJumpAttack}: A Query-Efficient Decision-Based Attack},
  booktitle = {IEEE Symposium on Security and Privacy},
  year = {2020},
  eprint = {1904.02144}
}""",
    "ilyas2018": """@inproceedings{ilyas2018,
  author = {Andrew Ilyas and Logan Engstrom and Anish Athalye and Jessy Lin},
  title = {Black-box Adversarial Attacks with Limited Queries and Information},
  booktitle = {International Conference on Machine Learning},
  year = {2018},
  eprint = {1804.08598}
}""",
    "uesato2018": """@inproceedings{uesato2018,
  author = {Jonathan Uesato and Brendan O'Donoghue and Aaron van den Oord and Pushmeet Kohli},
  title = {Adversarial Risk and the Dangers of Evaluating Against Weak Attacks},
  booktitle = {International Conference on Machine Learning},
  year = {2018},
  eprint = {1802.05666}
}""",
    "spall1992": """@article{spall1992,
  author = {James C. Spall},
  title = {Multivariate Stochastic Approximation Using a Simultaneous Perturbation Gradient Approximation},
  journal = {IEEE Transactions on Automatic Control},
  volume = {37},
  number = {3},
  year = {1992}
}""",
    "croce2020": """@inproceedings{croce2020,
  author = {Francesco Croce and Matthias Hein},
  title = {Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse Parameter-free Attacks},
  booktitle = {International Conference on Machine Learning},
  year = {2020},
  eprint = {2003.01690}
}""",
    "papernot2017": """@inproceedings{papernot2017,
  author = {Nicolas Papernot and Patrick McDaniel and Ian Goodfellow and Somesh Jha and Z. Berkay Celik and
    Ananthram Swami},
  title = {Practical Black-Box Attacks against Machine Learning},
  booktitle = {ACM Asia Conference on Computer and Communications Security},
  year = {2017},
  eprint = {1602.02697}
}""",
    "zoetmulder2018": """@unpublished{zoetmulder2018,
  author = {Riaan Zoetmulder and Efstratios Gavves and Peter O'Connor},
  title = {Explaining the Mistakes of Neural Networks with Latent Sympathetic Examples},
  note = {OpenReview S1EzRgb0W},
  year = {2018}
}""",
    "lee2015": """@inproceedings{lee2015,
  author = {Dong-Hyun Lee and Saizheng Zhang and Asja Fischer and Yoshua Bengio},
  title = {Difference Target Propagation},
  booktitle = {European Conference on Machine Learning},
  year = {2015},
  eprint = {1412.7525}
}""",
    "moosavi2016": """@inproceedings{moosavi2016,
  author = {Seyed-Mohsen Moosavi-Dezfooli and Alhussein Fawzi and Pascal Frossard},
  title = {DeepFool: A Simple and Accurate Method to Fool Deep Neural Networks},
  booktitle = {IEEE Conference on Computer Vision and Pattern Recognition},
  year = {2016},
  eprint = {1511.04599}
}""",
    "arvanitidis2018": """@inproceedings{arvanitidis2018,
  author = {Georgios Arvanitidis and Lars Kai Hansen and S{\\o}ren Hauberg},
  title = {Latent Space Oddity: on the Curvature of Deep Generative Models},
  booktitle = {International Conference on Learning Representations},
  year = {2018},
  eprint = {1710.11379}
}""",
    "mouret2015": """@misc{mouret2015,
  author = {Jean-Baptiste Mouret and Jeff Clune},
  title = {Illuminating search spaces by mapping elites},
  year = {2015},
  eprint = {1504.04909}
}""",
    "stanley2007": """@article{stanley2007,
  author = {Kenneth O. Stanley},
  title = {Compositional Pattern Producing Networks: a novel abstraction of development},
  journal = {Genetic Programming and Evolvable Machines},
  volume = {8},
  number = {2},
  year = {2007}
}""",
    "deb1995": """@article{deb1995,
  author = {Kalyanmoy Deb and Ram Bhushan Agrawal},
  title = {Simulated Binary Crossover for Continuous Search Space},
  journal = {Complex Systems},
  volume = {9},
  number = {2},
  year = {1995}
}""",
    "deb1996": """@article{deb1996,
  author = {Kalyanmoy Deb and Mayank Goyal},
  title = {A Combined Genetic Adaptive Search (GeneAS) for Engineering Design},
  journal = {Computer Science and Informatics},
  volume = {26},
  number = {4},
  year = {1996}
}""",
    "yosinski2015": """@inproceedings{yosinski2015,
  author = {Jason Yosinski and Jeff Clune and Anh Nguyen and Thomas Fuchs and Hod Lipson},
  title = {Understanding Neural Networks Through Deep Visualization},
  booktitle = {Deep Learning Workshop, International Conference on Machine Learning},
  year = {2015},
  eprint = {1506.06579}
}""",
    "nguyen2015": """@inproceedings{nguyen2015,
  author = {Anh Nguyen and Jason Yosinski and Jeff Clune},
  title = {Deep Neural Networks are Easily Fooled: High Confidence Predictions for Unrecognizable Images},
  booktitle = {IEEE Conference on Computer Vision and Pattern Recognition},
  year = {2015},
  eprint = {1412.1897}
}""",
}
"""By key: first author and year."""


def bibtex(*keys: str) -> str:
    """The entries of these papers, each once, in this order."""
    return "\n\n".join(BIBTEX[key] for key in dict.fromkeys(keys))


def reference(key: str) -> str:
    """A paper in one line: authors, year and title.

    Args:
        key: In `BIBTEX`.
    """
    fields = dict(
        part.strip().split(" = ", 1) for part in BIBTEX[key].replace("\n    ", " ").split("\n") if " = " in part
    )
    author, title, year = (fields[name].strip("{},") for name in ("author", "title", "year"))
    return f"{author.replace(' and ', ', ')} ({year}), {title}"
