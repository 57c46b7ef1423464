"""The fixed texts of the Rate page: notice, guidelines and what the marks mean."""

from __future__ import annotations

from pal.ratings.records import FLAGS

INTRODUCTION = (
    "Compare three replies without knowing which model wrote them. Your votes can retrain the model."
)
COLUMNS = ("A", "B", "C")
PLACES = ("best", "second", "third")
FLAG_KEYS = dict(zip(FLAGS, "uxpik", strict=True))
FLAG_LABELS = {
    "uses_persona": "uses persona",
    "contradicts": "contradicts it",
    "parrots": "parrots it",
    "ignores_user": "ignores user",
    "broken": "broken",
}
CORRECTING = "You correct an earlier vote. Both stay on record; the new one counts."

NOTICE = """
<h2>Before you start</h2>
<p>You will see a persona, a short conversation and three replies, <b>A</b>, <b>B</b> and <b>C</b>, in an
order that changes every time. You rank them. After each vote you see which model wrote which reply.</p>
<h3>What is stored</h3>
<ul>
<li>your rankings, marks and comments, and when you made them</li>
<li>the messages you write in a chat of your own, and the replies to them</li>
<li>your annotator id and your address only as salted hashes; no name, no e-mail</li>
</ul>
<h3>What for</h3>
<p>To compare the three models and to train them further. Votes may be published as a data set, without
the hashes of addresses. Please write nothing private.</p>
<h3>What you can do</h3>
<p>Stop at any time. With your id you can go on later, download everything stored about you, correct any
vote, and delete it all. Nothing is stored before you agree.</p>
"""

GUIDE = """
<p>Rank the replies as if <b>you</b> were the one chatting. Ties are fine: two replies may both be best.</p>
<table>
<tr><th>Better</th><td>It answers the last message, fits what was said before, and sounds like this
persona would talk.</td></tr>
<tr><th>Worse</th><td>It ignores the message, goes against a persona sentence, lists the persona unasked,
or is not proper language.</td></tr>
<tr><th>All bad</th><td>You would accept none of the three. Nothing needs to be ranked then.</td></tr>
<tr><th>Skip</th><td>You cannot judge it.</td></tr>
</table>
<p>Example. Persona: <i>I keep bees. I am allergic to nuts.</i> Message: <i>Fancy a slice of almond
cake?</i></p>
<table>
<tr><td><q>Oh, I would love to, but nuts and I don't get along. Do you have anything with honey?</q></td>
<td>best · <b>uses persona</b></td></tr>
<tr><td><q>Cake sounds nice, thanks!</q></td>
<td>second · <b>contradicts it</b>: almonds are nuts</td></tr>
<tr><td><q>I keep bees. I am allergic to nuts.</q></td>
<td>third · <b>parrots it</b>: copied, and no answer</td></tr>
</table>
<p><b>ignores user</b>: it does not react to the last message. <b>broken</b>: garbled, cut off, endless
repetition, or empty. A reply that does not need the persona is not wrong because it leaves it out.</p>
"""
