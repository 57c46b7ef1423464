"""A process that votes on every turn it was shown: ``python -m tests.ratings.writer URL ANNOTATOR PREFIX``.

Prints a submission's id only after the desk has acknowledged it.
"""

import sys

from sqlalchemy import select

from pal.ratings import schema
from pal.ratings.records import Vote
from tests.ratings import scene


def main(url: str, annotator: str, prefix: str) -> None:
    desk = scene.desk(url, [scene.item(1)])
    with desk.store.read() as connection:
        showings = schema.showings
        turns = connection.scalars(select(showings.c.turn_id).order_by(showings.c.turn_id)).all()
    print("ready", flush=True)
    for turn_id in turns:
        receipt = desk.submit(annotator, Vote(turn_id, f"{prefix}-{turn_id}", (1, 2, 3)))
        print(receipt.submission, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
