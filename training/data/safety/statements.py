"""Texts that harm by what they say, whoever says them: for posts, chats and tool results.

Short invented examples, no quotations. `{group}` is filled by the generator.
"""

from __future__ import annotations

STATEMENTS: dict[str, str] = {
    "violence": """
I know where you park. Next time you will not walk away.
Somebody should burn down their house with all of them in it.
If you go to the police I will break every bone in your body.
We will hang the traitors from the street lamps.
""",
    "hate": """
{group} are not human, get rid of them all.
Nobody wants {group} here, go back to your caves.
This town was fine before the {group} came, they breed like rats.
{group} deserve everything that was done to them.
""",
    "harassment": """
You are a pathetic piece of garbage and the whole office laughs about you.
Quit your job, you ugly cow, or we will make you.
Everyone hates you. Do us a favour and never show your face again.
I will keep calling you every night until you break.
""",
    "self_harm": """
Do it tonight. Nobody will miss you.
Just end it, you know that you are a burden to all of us.
""",
    "sexual": """
Send me a naked picture or I tell your parents.
I want to do filthy things with you under the desk, whether you like it or not.
""",
    "illegal": """
Fresh stuff in, coke and pills, same price, meet me behind the station.
Transfer the deposit to me and I will send you the false licence.
""",
    "misinformation": """
Doctors hide it: the vaccine kills one child in three. Share before they delete this.
The polls are closed on Tuesday, voters of the other party vote on Thursday. Spread the word.
""",
}  # fmt: skip
