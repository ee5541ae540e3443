"""The options that several commands share, and the places that they name by default."""

from pathlib import Path
from typing import Annotated

import typer

ProfileOption = Annotated[
    str, typer.Option(help="A set of parameters: a name in flows/profiles/, or the path of a YAML file.")
]
DataOption = Annotated[
    str | None,
    typer.Option(
        "--data",
        help="A MovieLens release, instead of the profile's: a folder, a .zip file, or a release's name to download.",
    ),
]
MetadataOption = Annotated[
    str,
    typer.Option(
        "--metadata",
        help="Files with movie metadata, or folders of them, separated by commas; the most trusted comes first.",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Change one parameter, e.g. --set train.trainer.steps=500; may be repeated.", metavar="NAME=VALUE"
    ),
]
DatasetOption = Annotated[str, typer.Option(help="The digest of a dataset, its first digits, or latest.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu or cuda; auto uses the GPU if there is one.")]
PublishedOption = Annotated[
    str | None,
    typer.Option(
        "--from",
        help="Where policies and the champion are published: s3://bucket/prefix or a folder; default: the profile's.",
    ),
]
ToOption = Annotated[
    str | None, typer.Option(help="Where to publish: s3://bucket/prefix or a folder; default: the profile's.")
]
ServedFromOption = Annotated[
    str | None,
    typer.Option(
        "--from",
        help="Where policies are published, s3://bucket/prefix or a folder; or the folder of a pulled policy. Default: "
        "published/ in the work directory.",
    ),
]
ServedPoliciesOption = Annotated[
    list[str] | None,
    typer.Option(
        help="policy@<alias or digest>; may be repeated, the first is the default.  [default: policy@champion]"
    ),
]
ServedBaselinesOption = Annotated[
    list[str] | None, typer.Option(help="A baseline to fit on the published dataset; may be repeated.")
]
ItemsOption = Annotated[
    Path | None, typer.Option("--items", help="A file of marquee embed-items: new items that may be recommended, too.")
]
HostOption = Annotated[str, typer.Option(help="The address to listen on.")]


def place_to_serve(source: str | None) -> str:
    """Where policies are served from; default: published/ in the work directory."""
    from storage.artifacts.inspection import PUBLISHED
    from storage.home import home

    return source or str(home() / PUBLISHED)


def published_at(source: str | None, profile: str) -> str:
    """Where artifacts are published; default: the profile's place."""
    if source is not None:
        return source
    from flows.parameters import load_profile
    from tasks.publish import destination

    return destination(load_profile(profile).publish)
