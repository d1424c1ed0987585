"""What each section of the thesis says, and what a reader should take from it, in our words.

What came out here is not told in this file: it is the verdicts of the report's own claims.
"""

from typing import NamedTuple


class Story(NamedTuple):
    """A section in two sentences, and the claims that its story hangs on."""

    says: str
    so: str
    key: tuple[str, ...] = ()


FOUND = (
    "Fine-tuned from ImageNet's weights, EfficientNet-B0 names {pretrained:.1f} % of Stanford "
    "Cars' test images; trained from scratch, {scratch_rgb:.1f} % in colour and "
    "{scratch_gray:.1f} % in grayscale. Regularisation hardly matters to the pretrained network, "
    "and does to the one in colour."
)

STORIES = {
    "1": Story(
        "EfficientNet is introduced as the state of the art of 2019: more accurate on ImageNet "
        "than networks several times its size.",
        "These are the EfficientNet paper's numbers; the thesis measured none of them, and they "
        "are recomputed here from its tables.",
    ),
    "2": Story(
        "A small network found by a search becomes a family by one scaling rule.",
        "The kit builds that family itself, so whatever is a matter of shapes is measured, not "
        "copied.",
    ),
    "2.1": Story(
        "B0 is a chain of nine stages with sixteen inverted bottlenecks.",
        "The model here is that network, layer by layer; where the thesis's drawing and its table "
        "disagree, the model agrees with the table.",
        ("C006", "X15"),
    ),
    "2.2": Story(
        "Width, depth and resolution grow together at fixed ratios; one number sets the size.",
        "Two short lists of coefficients and a rounding rule give the whole family.",
    ),
    "2.3": Story(
        "Growing one dimension alone saturates near 80 %; growing all three gains two points more "
        "at the same cost.",
        "The published architectures cost less than published, three of the four by a tenth and "
        "more, so the gap at truly equal cost is somewhat smaller.",
        ("C008", "C009"),
    ),
    "2.4": Story(
        "B0 to B7 match much larger networks on ImageNet.",
        "Four different accuracies of B0 stand in the thesis, from versions of the paper: none of "
        "them is good to the tenth of a point that it is given to.",
        ("X13",),
    ),
    "2.5": Story(
        "Fine-tuned, the family is ahead on five of eight data sets with a tenth of the "
        "parameters.",
        "On Stanford Cars the paper has 93.6 % (B3) and 94.7 % (B7): more than anything in this "
        "thesis.",
        ("C010", "C012"),
    ),
    "3": Story(
        "16,185 photographs of 196 classes, split about evenly; one class is far larger than all "
        "others.",
        "All of it holds in the published annotations. The classes are balanced enough for a "
        "plain accuracy to be fair.",
        ("C013", "C018"),
    ),
    "4": Story(
        "The experiments ran with PyTorch Lightning on Python 3.8, tracked by a hosted service.",
        "Nothing here hangs on those versions: the same arithmetic runs on today's.",
    ),
    "4.1": Story(
        "A dashboard kept runs, charts and files.",
        "The service has closed. Here a run is a folder of plain files, and the same views are "
        "drawn from them.",
    ),
    "5": Story(
        "What was trained, on what, and how.",
        "Code, text and run table of the thesis disagree in places; the kit can do either, and "
        "says which.",
    ),
    "5.2": Story(
        "Labels are smoothed, so that the network does not become too sure.",
        "The code does what the formula says; the sentence around the formula asks for other "
        "targets.",
        ("C024", "X02"),
    ),
    "5.3": Story(
        "Training images are resized, flipped, warped, changed in colour and normalised.",
        "The colours are never changed, and the normalisation's constants are means of each "
        "image's own statistics, too small as standard deviations.",
        ("C035", "X01"),
    ),
    "5.4": Story(
        "The best pretrained network reaches 91.4 %, the best from scratch 81.2 %.",
        "91.4 % is one run that its own repetition missed by 0.7 points, and what is called FLOPS "
        "counts parameters.",
        ("C045", "C046", "X03"),
    ),
    "5.5": Story(
        "One script with one set of hyperparameters is shown.",
        "No listed best run used just that script: the settings of each run had to be found out.",
        ("X18", "X20"),
    ),
    "5.6": Story(
        "The learning rate falls when the validation loss no longer does, after a patience of "
        "three or seven epochs.",
        "Where the rate falls, accuracy steps up; where training ends before it falls, nothing is "
        "learned about the schedule.",
        ("C070",),
    ),
    "6": Story(
        "65 runs: fine-tuned, from scratch in colour, from scratch in grayscale.",
        "Single runs without a seed: what a difference is worth hangs on how far a repetition "
        "scatters, which the thesis did not measure.",
    ),
    "6.1": Story(
        "Fine-tuning reaches 90.3 %, passes 80 % within ten epochs, and ends about ten points "
        "above training from scratch.",
        "The order is the thesis's safest result; its headline is the best of fifteen draws, some "
        "two standard deviations above their mean.",
        ("C071", "C078", "C079"),
    ),
    "6.1.1": Story(
        "Dropout and weight decay hardly matter to a pretrained network.",
        "What the fifteen runs differ by is what repetitions differ by, so they show no "
        "influence, and could not have shown one below a point.",
        ("C081", "C082"),
    ),
    "6.1.2": Story(
        "Over all runs, more dropout or decay lowers the average; a network whose layers are "
        "frozen ends at 43 %.",
        "The averages mix groups that had different values and count interrupted runs, so the "
        "trend is the grid's, not the regularisation's.",
        ("C085", "C087"),
    ),
    "6.2": Story(
        "Without pretrained weights the same network ends about ten points lower.",
        "Three times the epochs do not make up for what ImageNet taught.",
    ),
    "6.2.1": Story(
        "In colour B0 reaches 79.0 %, and needs a decay of 0.2 to 0.3 and little dropout.",
        "Every run with a dropout above 0.3 had smaller batches too, and the decays that did "
        "badly had a patience of three where the good ones had seven: this grid cannot tell them "
        "apart.",
        ("C091", "C100", "X21"),
    ),
    "6.2.2": Story(
        "In grayscale B0 reaches 81.3 %, with nearly any regularisation.",
        "The range of decays is narrower than said: at 0.3 also the run that was not interrupted "
        "is far behind.",
        ("C102", "C110", "C111"),
    ),
    "6.2.3": Story(
        "Grayscale is ahead of colour by 2.3 points, and keeps its two losses closer early on.",
        "Every gray run had batches of 32 and every good RGB run of 96; what is matched decides "
        "who is ahead.",
        ("C115", "X25"),
    ),
    "6.3": Story(
        "The table of all answers shows images that defeat every model; class 183 is the hardest.",
        "Five sets of columns are drawn identically, because runs shared output folders: the "
        "picture shows fewer models than it names.",
        ("C116", "C117", "X10"),
    ),
}
