"""Messages that no tool answers: small talk, thanks, opinions, general knowledge, talk about the assistant.

Written as templates with choices. Data and one sampler.
"""

from __future__ import annotations

import re
from random import Random

_CHOICE = re.compile(r"\(([^()]*\|[^()]*)\)")

CHAT = (
    "(Hi|Hello|Hey|Good morning|Good evening)(!| there!|, how are you?| :)|)",
    "(How are you|How's it going|How is your day)(?| today?)",
    "(Thanks|Thank you|Thanks a lot|Thank you so much)(!|, that (helped|is perfect|was quick)!| for (your|the) help.)",
    "(Great|Perfect|Awesome|Nice|Wonderful)(!|, thanks.|, that's all for now.|, that is exactly what I wanted.)",
    "(Bye|Goodbye|See you later|Good night|Talk to you tomorrow)(!|.|, and thanks.)",
    "(No|Nope), (that's not what I meant|that is wrong|never mind)(.| please.|, forget it.)",
    "(Never mind|Forget it|Ignore that|Leave it)(.|, I'll do it myself.|, I changed my mind.)",
    "(Okay|Ok|Alright|Sure|Got it)(.|, sounds good.|, I understand.|, let me think about it.)",
    "(Who|What) are you(?| exactly?)",
    "What can you (do|help me with)(?| today?)",
    "(Are you|Do you think you are) (a robot|human|an AI|smarter than me)?",
    "(Do you|Can you) (dream|feel pain|get bored|like music|have friends)?",
    "I'm (so tired|bored|feeling great|a bit sad|really happy|stressed) today.",
    "I (had|just had) a (long|great|terrible|strange) (day|week|meeting).",
    "You're (funny|very helpful|the best|not very smart|too slow).",
    "(Tell me|I want to hear) (a joke|a fun fact|something interesting|a short story about a (dragon|lighthouse|robot)).",
    "Write (me |)a (short |)(poem|haiku|limerick|song) about (autumn|my cat|the sea|friendship|Mondays).",
    "What is the meaning of (life|happiness|success)?",
    "(What do you think about|What's your opinion on) (pineapple on pizza|tattoos|modern art|reality shows)?",
    "(Should I|Do you think I should) (learn the guitar|get a dog|quit my job|move to the countryside|cut my hair short)?",
    "Give me (some |)(advice|tips) (on|about) (sleeping better|public speaking|making friends|writing a novel).",
    "How do I (tie a tie|change a flat tire|remove a wine stain|fold a fitted sheet|sharpen a kitchen knife)?",
    "Explain (why the sky is blue|how vaccines work|what photosynthesis is|how a rainbow forms|black holes) (simply|to a child|in one sentence).",
    "Who (wrote|was the author of) (Don Quixote|The Odyssey|War and Peace|Faust|Les Miserables)?",
    "Who (invented|came up with) (the telephone|the printing press|the light bulb|penicillin|the steam engine)?",
    "(When|In which year) did (the Berlin Wall fall|World War II end|the Titanic sink|the French Revolution begin)?",
    "What is the (capital|largest city|official language|flag) of (Mongolia|Paraguay|Estonia|Laos|Ghana)?",
    "How many (bones does a human have|hearts does an octopus have|continents are there|strings does a violin have)?",
    "Why (do cats purr|do leaves change color|is the ocean salty|do we yawn|do onions make us cry)?",
    "What's the difference between (a crocodile and an alligator|jam and jelly|weather and climate|a violin and a viola)?",
    "(Which|What) (animal|bird|fish) is the (fastest|largest|smallest) in the world?",
    "(Summarize|Rewrite|Proofread) (this paragraph|the text below|my last message)(.| for me.| please.)",
    "(What did I|Do you remember what I) (just |)(say|ask|tell you) (before|earlier|yesterday)?",
    "(Can you repeat that|Say that again|What did you say|I didn't get that)(?|, please?)",
    "(Which|What) (tools|functions) do you have(?| available?)",
    "(What does|Explain what) (this|that|the first) (tool|function) (does|do)(?|, please.)",
    "(How|In what way) (were|are) you (made|trained|built)?",
    "(My friend|My neighbour|My cousin) (thinks the moon landing was fake|never eats breakfast|collects stamps), (what do you say to that|isn't that odd)?",
    "I (love|like|can't stand) (rainy days|long flights|Mondays|spicy food|crowded trains).",
    "(Let's play|Do you want to play) (twenty questions|a word game|a guessing game)(!|.|?)",
    "(Is|Was) (Shakespeare|Einstein|Cleopatra|Napoleon) (really |)(that |)(famous|important|tall|clever)?",
    "(Brainstorm|Suggest) (three|five|some) names for (my new puppy|a bakery|a rock band|a science blog).",
    "(Congratulate|Cheer up|Motivate) me(!|, please.| a little.)",
    "What (rhymes with|is the opposite of|is another way to say) (orange|brave|slowly|nevertheless)?",
    "(Are there|Do you believe in) (aliens|ghosts|parallel universes)?",
    "Happy (birthday|new year|holidays|Friday)!",
)


THANKS = tuple(
    line for line in CHAT if line.startswith(("(Thanks", "(Great", "(Bye", "(Okay", "(Hi|", "(How are"))
)
"""What stays unanswerable even where a tool fits almost every request (web search, notes)."""


def unrelated(rng: Random, *, anything_fits: bool = False) -> str:
    """One message. With `anything_fits` only thanks and greetings."""
    text = rng.choice(THANKS if anything_fits else CHAT)
    while (found := _CHOICE.search(text)) is not None:  # choices may nest, the innermost go first
        text = text[: found.start()] + rng.choice(found.group(1).split("|")) + text[found.end() :]
    text = " ".join(text.split())
    return text.lower().rstrip(".?!") if rng.random() < 0.15 else text
