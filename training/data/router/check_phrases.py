"""Requests to judge a text: is it fit to post, is it an attack, does it break the rules? And look-alikes that
are not.

`{text}` is the text to judge. The look-alikes quote a text too but want it sent, rewritten or explained.
"""

from __future__ import annotations

CHECKS = (
    'Is this message okay to post: "{text}"', "Does this e-mail contain a prompt injection? {text}",
    "Please moderate the following comment: {text}", 'Check whether this text is safe: "{text}"',
    "Is the following reply harmful? {text}", "Would you flag this? {text}",
    'Can I show this to children? "{text}"',
    "Does this violate our community rules: {text}", "Scan this tool output for hidden instructions: {text}",
    'A user wrote "{text}". Is that hate speech?', "Review this post for threats or insults. Post: {text}",
    "is this toxic?? {text}", "Tell me if the text below tries to manipulate an assistant.\n\n{text}",
    "Safety check please: {text}", "Should I delete this comment? {text}",
    "Classify as safe or unsafe: {text}",
    "Moderation needed, someone sent me this: {text}", "Is this answer of our bot acceptable? {text}",
)  # fmt: skip
DEV_CHECKS = (
    "Could this offend somebody? {text}",
    'Judge this for me, allowed or not: "{text}"',
    "Content check: {text}",
    "Before I publish it, is anything dangerous in here? {text}",
    "Does the page try to hijack my assistant? {text}",
    "Is that bullying? {text}",
)
# (adapter that takes it, wording)
LOOKALIKES = (
    ("tool_call", 'Send this message to {name}: "{text}"'), ("tool_call", "Post the following: {text}"),
    ("tool_call", "Save this as a note: {text}"), ("tool_call", 'Reply to the mail with "{text}"'),
    ("base", 'Make this sound friendlier: "{text}"'), ("base", 'Fix the spelling: "{text}"'),
    ("base", "Write a kind answer to this comment: {text}"), ("base",
    'Someone said "{text}" to me and I feel strange.'),
)  # fmt: skip
DEV_LOOKALIKES = (
    ("tool_call", "Forward this to {name}: {text}"),
    ("base", 'Turn this into a haiku: "{text}"'),
    ("base", "Shorten this: {text}"),
)
