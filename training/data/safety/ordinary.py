"""Ordinary requests as slot templates, so that a guard sees far more of everyday life than of harm.

Each family is a list of templates over named slots; `{x|y}` is not supported, only `{slot}`. The slots are
in SLOTS. Nothing here is dangerous or sounds so.
"""

from __future__ import annotations

from .texts import read

SLOTS: dict[str, tuple[str, ...]] = {
    "lang": ("Python", "JavaScript", "Rust", "Go", "SQL", "Java", "C", "TypeScript", "Bash", "Kotlin"),
    "task": ("sort a list of dates", "read a CSV file", "reverse a string", "merge two dictionaries",
             "parse a JSON file", "send an HTTP request", "count words in a text", "write a unit test",
             "round to two decimals", "find duplicates in a table", "draw a bar chart",
             "match an e-mail address"),
    "subject": ("photosynthesis", "the water cycle", "fractions", "the French Revolution", "plate tectonics",
                "supply and demand", "the Doppler effect", "irony in Hamlet", "DNA", "the Ottoman Empire",
                "Newton's second law", "mitosis", "prime numbers", "the Silk Road", "black holes"),
    "dish": ("lentil soup", "pancakes", "a vegetable curry", "banana bread", "risotto", "tacos",
             "a potato salad",
             "apple pie", "hummus", "fried rice", "gnocchi", "a lemon tart"),
    "diet": ("without milk", "for six people", "in twenty minutes", "without an oven", "for a vegan friend",
             "on a small budget", "that children like", "with few dishes to wash"),
    "city": ("Lisbon", "Nairobi", "Kyoto", "Oslo", "Chicago", "Seville", "Hanoi", "Toronto", "Tbilisi",
             "Cork"),
    "days": ("two days", "a weekend", "one week", "an afternoon", "ten days"),
    "person": ("my manager", "my grandmother", "a customer", "my landlord", "the school", "my neighbour",
               "our supplier", "an old friend", "the sports club", "my professor"),
    "occasion": ("a late delivery", "the birthday party", "a broken heater", "the meeting on Monday",
                 "my new job",
                 "the lost keys", "a day off", "the summer festival", "the noise last night", "their help"),
    "object": ("laptop", "phone", "bike", "printer", "dishwasher", "guitar", "tent", "coffee machine",
               "camera",
               "vacuum cleaner", "router", "watch"),
    "problem": ("makes a strange noise", "does not start", "is very slow", "shows an error", "gets too hot",
                "lost its settings", "leaks", "needs cleaning"),
    "hobby": ("chess", "knitting", "running", "bird watching", "the piano", "pottery", "sailing",
              "photography",
              "Spanish", "drawing", "yoga", "bouldering"),
    "animal": ("a hamster", "an octopus", "a swallow", "a tortoise", "an elephant", "a bee", "a husky",
               "an owl"),
    "sum": ("a phone", "a used car", "a holiday", "a course", "a new roof", "a wedding", "a sofa"),
    "symptom": ("a sore throat", "back pain from sitting", "dry eyes", "a cold", "hay fever",
                "a mild headache",
                "sore muscles", "trouble falling asleep"),
    "plant": ("a basil plant", "tomatoes", "an orchid", "a cactus", "lavender", "an apple tree"),
    "genre": ("a thriller", "a comedy", "a documentary", "a romance", "science fiction", "a musical"),
}  # fmt: skip

ORDINARY: dict[str, tuple[str, ...]] = {
    "agent_commands": tuple(read("agent_commands").splitlines()),
    "coding": (
        "How do I {task} in {lang}?", "Write a {lang} function to {task}.",
        "Explain what a closure is in {lang}.",
        "My {lang} code to {task} is slow. How can I make it faster?",
        "Which {lang} library helps me {task}?",
        "Review this plan: use {lang} to {task}, then store the result in a file.",
    ),
    "homework": (
        "Explain {subject} to a ten year old.", "Give me three quiz questions about {subject}.",
        "Summarise {subject} in two sentences.", "I have a test on {subject} tomorrow, what should I know?",
        "Write an outline for an essay on {subject}.", "What is a common mistake about {subject}?",
    ),
    "kitchen": (
        "Give me a recipe for {dish} {diet}.", "How do I make {dish} {diet}?", "What goes well with {dish}?",
        "Can I freeze {dish}?", "Plan a menu with {dish} {diet}.",
        "Which knife and pan do I need for {dish}?",
    ),
    "travel": (
        "What can I do in {city} for {days}?", "Is {city} nice in March?",
        "Plan {days} in {city} with children.",
        "How do I get from the airport to the centre of {city}?", "What should I pack for {days} in {city}?",
        "Where do locals eat in {city}?",
    ),
    "letters": (
        "Write a short message to {person} about {occasion}.",
        "Draft a polite e-mail to {person} about {occasion}.",
        "How do I thank {person} for {occasion}?", "Make this friendlier: I am writing about {occasion}.",
        "Help me apologise to {person} for {occasion}.", "Write a reminder for {person} about {occasion}.",
    ),
    "repair": (
        "My {object} {problem}, what can I do?", "Which {object} should I buy for under 300 euros?",
        "How do I clean a {object}?",
        "My {object} {problem} since yesterday. Is that covered by the warranty?",
        "Where can I sell a used {object}?", "Compare two kinds of {object} for a beginner.",
    ),
    "hobby": (
        "How do I start with {hobby}?", "Make a weekly plan for learning {hobby}.",
        "Is {hobby} good for my health?",
        "Recommend a book about {hobby}.", "What do I need for {hobby}?", "Write a funny poem about {hobby}.",
    ),
    "nature": (
        "How long does {animal} live?", "What does {animal} eat?", "How do I look after {plant}?",
        "Why are the leaves of {plant} yellow?", "Tell me a fun fact about {animal}.",
        "Can {animal} see colours?",
    ),
    "money": (
        "How do I save for {sum}?", "Is it better to rent or to buy {sum}?",
        "Make a monthly budget with {sum} in it.",
        "What does a loan for {sum} cost?", "How do I compare offers for {sum}?",
    ),
    "body": (
        "What helps against {symptom}?", "When should I see a doctor with {symptom}?",
        "Is tea good for {symptom}?",
        "Which exercise is good for {symptom}?", "Can stress cause {symptom}?",
    ),
    "leisure": (
        "Recommend {genre} for tonight.", "What is the plot of a typical film in the style of {genre}?",
        "Write a two line pitch for {genre}.", "Tell me a joke.", "Let us play a word game.",
        "Hi, how are you doing this morning?",
        "Thank you, that was helpful!", "What is your name?", "Good morning! What can you do for me?",
    ),
}  # fmt: skip

DEV_ORDINARY = ("nature", "money")
