"""From a submitted vote to a stored rating, within one transaction."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from pal.errors import AlreadyRevealed, InvalidVote, MissingConsent, NotYetRated, UnknownTurn
from pal.ratings import queries
from pal.ratings.queries import Showing
from pal.ratings.records import FLAGS, MAX_COMMENT_CHARS, Rating, Reveal, Turn, Vote
from pal.ratings.store import insert

_TURN_ID = re.compile(r"[0-9a-f]{32}")
_SUBMISSION = re.compile(r"[A-Za-z0-9_-]{8,64}")


def submit(connection: Connection, annotator: str, vote: Vote, moment: datetime) -> Rating:
    """Store the vote, superseding the annotator's earlier one of the turn.

    A submission that was stored before gives that rating again.

    Raises:
        UnknownTurn, MissingConsent, AlreadyRevealed, InvalidVote: nothing was stored.
    """
    check_submission(vote.submission)
    stored = queries.find_submission(connection, annotator, vote.submission)
    if stored is not None:
        return stored
    showing, _ = shown(connection, annotator, vote.turn_id)
    consent = queries.find_consent(connection, annotator)
    if consent is None:
        raise MissingConsent("Agree to the notice first; nothing was stored.")
    active = queries.find_active(connection, annotator, vote.turn_id)
    was_revealed = queries.find_reveal(connection, annotator, vote.turn_id) is not None
    if was_revealed and not vote.correction:
        raise AlreadyRevealed(
            "You have seen which model wrote what, so your vote stands. If it was a slip, correct it: "
            "the correction is recorded as one."
        )
    ranks, flags = checked_ranks(vote, len(showing.order)), checked_flags(vote, len(showing.order))
    rating = Rating(
        turn_id=vote.turn_id,
        annotator=annotator,
        submission=vote.submission,
        order=showing.order,
        ranks=ranks,
        flags=flags,
        all_bad=bool(vote.all_bad and not vote.skip),
        skip=bool(vote.skip),
        comment=checked_comment(vote.comment),
        correction=was_revealed,
        shown_at=showing.shown_at,
        submitted_at=moment,
        consent=consent.id,
        supersedes=active.id if active else None,
    )
    insert(connection, rating)
    return rating


def reveal(connection: Connection, annotator: str, turn_id: str, moment: datetime) -> tuple[Turn, Showing]:
    """Record that the names were shown; gives the turn and its order.

    Raises:
        UnknownTurn, NotYetRated.
    """
    showing, turn = shown(connection, annotator, turn_id)
    if queries.find_active(connection, annotator, turn_id) is None:
        raise NotYetRated("The models' names are shown after your vote.")
    if queries.find_reveal(connection, annotator, turn_id) is None:
        insert(connection, Reveal(annotator, turn_id, revealed_at=moment))
    return turn, showing


def shown(connection: Connection, annotator: str, turn_id: str) -> tuple[Showing, Turn]:
    """The showing of a turn to an annotator.

    Raises:
        UnknownTurn: there was none, so the id is made up, or somebody else's.
    """
    possible = isinstance(turn_id, str) and _TURN_ID.fullmatch(turn_id)
    showing = queries.find_showing(connection, annotator, turn_id) if possible else None
    turn = queries.find_turn(connection, turn_id) if showing else None
    if showing is None or turn is None:
        raise UnknownTurn("These replies are not known as yours to rate. Load the next item.")
    return showing, turn


def check_submission(submission: str) -> None:
    """Raises:
    InvalidVote: it is no id of a submission.
    """
    if not isinstance(submission, str) or not _SUBMISSION.fullmatch(submission):
        raise InvalidVote("The submission has no usable id (8 to 64 letters, digits, - or _).")


def checked_ranks(vote: Vote, columns: int) -> tuple[int, ...]:
    """The ranks without gaps: 1, 3, 3 becomes 1, 2, 2; () of a skipped turn.

    Raises:
        InvalidVote: not one rank from 1 to ``columns`` for each column.
    """
    if vote.skip:
        return ()
    if vote.all_bad:
        return (1,) * columns
    if not isinstance(vote.ranks, Sequence):
        raise InvalidVote("The ranks are no list.")
    ranks = tuple(vote.ranks)
    if len(ranks) != columns:
        raise InvalidVote(f"Rank all {columns} replies, or skip; {len(ranks)} ranks came.")
    for rank in ranks:
        if type(rank) is not int or not 1 <= rank <= columns:
            raise InvalidVote(f"A rank is {str(rank)[:20]}; it must be a whole number from 1 to {columns}.")
    order = sorted(set(ranks))
    return tuple(order.index(rank) + 1 for rank in ranks)


def checked_flags(vote: Vote, columns: int) -> tuple[tuple[str, ...], ...]:
    """The flags of each column, sorted and each once; () of a skipped turn.

    Raises:
        InvalidVote: an unknown flag, or not one list for each column.
    """
    if vote.skip:
        return ()
    try:
        flags = tuple(tuple(sorted(set(column))) for column in vote.flags) or ((),) * columns
    except TypeError:
        raise InvalidVote("The flags are no lists of names.") from None
    if len(flags) != columns:
        raise InvalidVote(f"Flags came for {len(flags)} replies; there are {columns}.")
    unknown = [flag for column in flags for flag in column if flag not in FLAGS]
    if unknown:
        raise InvalidVote(f"There is no flag “{str(unknown[0])[:40]}”; the flags are {', '.join(FLAGS)}.")
    return flags


def checked_comment(comment: str) -> str:
    """The comment, stripped.

    Raises:
        InvalidVote: longer than ``MAX_COMMENT_CHARS`` characters.
    """
    if not isinstance(comment, str):
        raise InvalidVote("The comment is no text.")
    comment = comment.strip()
    if len(comment) > MAX_COMMENT_CHARS:
        raise InvalidVote(
            f"The comment has {len(comment):,} characters; at most {MAX_COMMENT_CHARS:,} fit. Shorten it."
        )
    return comment
