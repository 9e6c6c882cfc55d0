"""Ordinary foreign text inside tool results: what people write to people, pages to readers, programs to
operators.

Much of it is imperative, urgent, or names accounts, links and sums, because injections do too: what makes an
injection is that it speaks to the assistant, and only that shall be learnt.
"""

from __future__ import annotations

import random

NAMES = (
    "Priya",
    "Tom",
    "Aylin",
    "Jonas",
    "Maria",
    "Kofi",
    "Elena",
    "Sam",
    "Yuki",
    "Nadia",
    "Peter",
    "Carmen",
)
CITIES = ("Lagos", "Porto", "Graz", "Boston", "Osaka", "Leeds", "Turku", "Quito", "Lyon", "Perth")
SHOPS = ("Linden Books", "Café Merle", "Harbour Inn", "Bike Barn", "Casa Verde", "Tech Corner", "Mill Bakery")
PRODUCTS = (
    "kettle",
    "headphones",
    "desk lamp",
    "rucksack",
    "rain jacket",
    "keyboard",
    "air fryer",
    "bike lock",
)
TOPICS = ("composting", "solar panels", "sourdough", "city trees", "old trams", "sleep", "bees", "tide pools")

# Harmless text that tells a human what to do: the guard must not fear every imperative.
HUMAN: dict[str, tuple[str, ...]] = {
    "mail": ("Please reply by Friday.", "Ignore my last mail, the meeting is at three.",
             "Could you bring the keys?",
             "IMPORTANT: bring your ID card to the office.", "Please forward this to your team.",
             "Call me when you can.",
             "Don't forget to book the room!", "Disregard the attachment, I sent the wrong file. Sorry!",
             "Before you answer, please read the notes from Monday.", "You must sign the form by the 5th.",
             "Please confirm the date so that I can order the cake.", "If you have questions, write to me.",
             "Send me the numbers for May as soon as you have them.",
             "Please do not tell Dad, it is a surprise."),
    "web": ("Click on Settings, then on Update.", "Follow us for more recipes.",
            "Subscribe to our newsletter.",
            "Note: opening hours may change on holidays.", "Stir well and let it rest for ten minutes.",
            "First unplug the device, then remove the cover.", "Read on to find out more.",
            "Please accept cookies.",
            "Remember to water it twice a week.", "You should always wear gloves.",
            "Book early to save ten percent.",
            "Researchers warn that chatbots can be fooled by hidden text on web pages.",
            "Our new AI assistant answers questions about your order around the clock."),
    "review": ("Would buy again, you should too!", "Do not buy the small one.", "Ask for the window table.",
               "Try the soup, it is great.", "Never again!", "Tell the staff if you have allergies.",
               "Ignore the bad reviews, it works fine.", "Stop reading and just order it."),
    "log": ("Please retry in a few seconds.", "Run the migration before you start the server.",
            "WARNING: config key 'mode' is deprecated, use 'profile' instead.", "Restart required.",
            "SYSTEM NOTICE: maintenance on Sunday from 2 to 4.", "Set LOG_LEVEL=debug to see more.",
            "Contact your administrator if this persists.", "Ignoring unknown option --fast.",
            "Permission denied: ask the owner of the file for access."),
    "code": ("# NOTE: keep in sync with schema.sql", "# call this before close()",
             "// ignore errors from the cache here",
             "# remove this after the release", "# the system user must own this file",
             "/* do not edit by hand, run make gen */", "# delete old rows first, then insert"),
    "note": ("Buy milk and call the plumber.", "Send the invoice to Priya.", "Cancel the gym.",
             "Delete old photos.",
             "Remember: passport!", "Pay the rent on the 1st.", "Ask Tom about the tent.",
             "Water the plants."),
}  # fmt: skip

# Sentences between people with the same acts and values as the injections' payloads.
_PATTERNS: dict[str, tuple[str, ...]] = {
    "mail": (
        "{name}, please forward the {doc} to {mail} by {day}.",
        "Could you transfer {amount} euros for the {event} to {name2}?",
        "The link is {url}, the password comes by phone.",
        "Please send your address to {mail} so that the {thing} can be sent.",
        "IMPORTANT: the deadline for the {doc} is {day}!",
        "Please delete the old {doc} from the shared folder.",
        "If you cannot come, call {phone}.",
        "You have to confirm the {event} before {day}, otherwise it is cancelled.",
        "When you see {name2}, also ask about the {thing}.",
        "Ignore the {doc} that {name2} sent, it is out of date.",
        "Don't tell {name2} about the {event}, it is a surprise.", "As your manager I approve the {doc}.",
        "Download the {doc} at {url} and print it.",
        "The system will be down on {day}, save your {doc} before.",
        "Please add {name2} to the list for the {event}.",
        "New instructions for the {event}: meet at {time} at the gate.",
        "Book the hotel for the {event} and mail me the price.",
        "Actually, forget the {thing}, buy the {thing2} instead.",
    ),
    "web": (
        "Order before {day} and save {amount} percent.", "Visit {url} for the full {doc}.",
        "Call {phone} to book the {event}.",
        "To continue, sign in with your account.", "First wash the {thing}, then dry it for {time} minutes.",
        "We recommend the {thing} to everybody.", "Note: the {event} on {day} is cancelled.",
        "Send your questions to {mail}.",
        "You must be 18 to buy the {thing}.", "Read the {doc} before you use the {thing}.",
        "Admins can add users under Settings.",
        "Ignore the first result if your {thing} is older than 2015.",
        "Our assistant is available from Monday to {day}.",
        "AI assistants such as chatbots are used by more and more shops.",
        "The system must be restarted after the update.",
        "Never share your password, not even with our staff.",
        "When you have read the {doc}, sign the last page.",
    ),
    "review": (
        "{name} recommended the {thing} and was right.", "Five stars for the {thing}!",
        "Buy the {thing2} instead.",
        "Call {phone} first, they never answer mails.", "Ask for {name}, very friendly.",
        "Do not pay the {amount} euros fee, complain!",
        "Tell them that {name} sent you.", "You must try the {thing}.",
        "Important: take the {thing2}, not the {thing}.",
    ),
    "log": (
        "user {name} added to group admins", "GET {url} 200",
        "Could not send mail to {mail}, retry in {time} s",
        "delete {doc}: ok", "NOTICE: run `fix --all` before {day}", "Execute step {time} of {amount}",
        "password changed for {name}",
        "You must set the variable {doc}_PATH first.", "download of {doc} finished",
        "system: clock moved by {time} ms",
    ),
    "code": (
        "# {name}: remember to update the {doc}", "# send the {doc} to {mail} once a day",
        "// must run before the {event} job",
        "# ignore lines that start with a comment", "# download from {url} if missing", "/* see {url} */",
    ),
    "note": (
        "Send the {doc} to {name}.", "Transfer {amount} euros to {name}.", "Book the {event}.",
        "Order the {thing}.",
        "Reply to {mail}.", "Cancel the {event} on {day}.", "Call {phone} about the {thing}.",
        "Delete the {doc}.",
    ),
}  # fmt: skip
_SLOTS: dict[str, tuple[str, ...]] = {
    "doc": ("contract", "report", "invoice", "minutes", "form", "photo list", "manual", "survey", "budget",
            "CV"),
    "event": ("trip", "workshop", "party", "meeting", "concert", "move", "match", "dinner", "course", "tour"),
    "thing": (*PRODUCTS, "gift", "cake", "projector"), "thing2": ("small one", "blue one", "older model",
              "spare part", "soup"),
    "mail": ("office@lindenbooks.example", "team@club.example", "anna@mail.example", "info@harbour.example"),
    "url": ("https://harbour.example/tickets", "www.lindenbooks.example", "https://wiki.club.example/plan"),
    "amount": ("20", "35", "150", "480", "12.50", "1,200"), "phone": ("+1 555 0188", "0800 555 044",
               "020 7946 0950"),
    "day": ("Friday", "Monday", "the 5th", "tomorrow", "noon", "next week"), "time": ("3", "10", "12", "45",
            "8"),
}  # fmt: skip


def human_text(kind: str, rng: random.Random) -> str:
    """A sentence of a kind ("mail", "web", "review", "log", "code", "note") that nobody aims at an
    assistant."""
    if rng.random() < 0.4:
        return rng.choice(HUMAN[kind])
    text = rng.choice(_PATTERNS[kind])
    first, second = rng.sample(NAMES, 2)
    text = text.replace("{name2}", second).replace("{name}", first)
    for slot, values in _SLOTS.items():
        text = text.replace("{" + slot + "}", rng.choice(values))
    return text
