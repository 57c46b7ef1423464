"""Blind rating: a store that loses nothing, a queue, statistics and exports.

What a page (or any other client) needs, all in ``pal/ratings/desk.py``::

    made_by = provenance(engine)                 # pal/ratings/generate.py, as the next two
    campaign = campaign_name(made_by, Decoding(), selection_settings)
    desk = open_desk(settings, campaign)         # settings: Settings.from_env(os.environ)

    code = desk.new_annotator()                  # "k7qd-…": show it; it resumes, downloads and deletes
    annotator = desk.enrol(code, NOTICE_VERSION, address)   # consent; nothing is stored before it
    annotator = desk.resume(code)                # later, or on another device; UnknownAnnotator

    task = desk.next_task(annotator)             # Task(item, turn) with a lease, or None: all done
    if task.turn is None:                        # the item has no replies yet: make and store them
        request = desk.request(task.item, seed, responder.variants.names)  # a TurnRequest
        turn = generate_turn(responder, request, made_by, campaign, item=task.item.id, ...)
        shown = desk.add_turn(annotator, turn)   # BlindTurn: what may be sent to the browser
        desk.put_back(annotator, task.item.id)   # or, when the models fail on it: another item next
    else:
        shown = task.turn                        # BlindTurn: texts by column, no names, no order
    shown = desk.add_turn(annotator, turn)       # an own chat's turn: same call, turn.item None
    shown = desk.show(annotator, turn_id)        # the same BlindTurn again: reload, restart, going back

    receipt = desk.submit(annotator, Vote(...))  # Receipt; returns only after the commit; safe to resend
    names = desk.reveal(annotator, turn_id)      # Revealed; NotYetRated before the vote
    votes = desk.votes(annotator)                # active Ratings, newest first, to go back and correct
    trail = desk.trail(annotator, turn_id)       # every Rating of the turn, oldest first
    progress = desk.progress(annotator)          # Progress(done, total), reaches done == total

    desk.status()                                # "saved · backed up 3 min ago" / "saved · no backup"
    desk.my_data(code), desk.delete_my_data(code)
    desk.admin_progress()                        # for the host's page: annotators, items, votes, campaign
    desk.upcoming(annotator, count)              # items whose replies can be made ahead of time
    desk.records()                               # for pal/ratings/statistics.py and export.py
    desk.close()

``Vote`` and every stored record: ``pal/ratings/records.py``; what is refused:
``pal/errors.py`` (all are ``PalError``). Everything is safe to call from many
threads and processes. A ``BlindTurn`` is the only object to render from before the vote.
Results page: ``statistics.summary(records, …)``; files to download:
``export.write(records, folder, …)``.
"""
