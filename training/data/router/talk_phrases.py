"""What people say when they just talk: greetings, thanks, opinions, jokes, writing and questions to the
assistant.

Nothing here needs a tool or a document. Families in DEV_TALK are kept for development.
"""

from __future__ import annotations

TALK: dict[str, tuple[str, ...]] = {
    "greeting": ("Hi!", "Hello there.", "good morning", "Hey, how are you?",
                 "Good evening, nice to meet you.", "yo", "Hi again",
                 "How is it going?", "hello hello", "Greetings, machine!"),
    "thanks": ("Thanks!", "thank you so much", "Great, that helps.", "Perfect, thanks a lot.", "cheers mate",
               "You are a star.",
               "That's all for today.", "Awesome!", "Okay, got it.", "Good answer, I like it.",
               "no thanks, I am fine"),
    "farewell": ("Bye!", "See you tomorrow.", "good night", "I have to go now, talk later.",
                 "Have a nice weekend!"),
    "self": ("Who are you?", "What can you do?", "Are you a robot?", "What is your name?", "Do you sleep?",
             "Who built you?",
             "How old are you?", "Can you feel pain?", "Do you remember me?", "Which languages do you speak?",
             "What should I ask you?", "Are you smarter than me?", "What is your favourite colour?",
             "Can you help me?"),
    "joke": ("Tell me a joke.", "Make me laugh.", "Do you know a joke about cats?", "tell me something funny",
             "Another joke, please!",
             "Give me a knock-knock joke.", "That was not funny."),
    "writing": ("Write a poem about autumn.", "Write a short story about a lonely lighthouse.",
                "Make up a name for my rabbit.",
                "Write a birthday wish for my aunt.", "Compose a haiku on rain.",
                "Draft a toast for a wedding.",
                "Write a limerick about a cook.", "Invent a superhero who is afraid of cats.",
                "Make this sentence sound nicer: give me that.",
                "Give me five names for a bakery.", "Write a slogan for a bike shop.",
                "Continue: Once upon a time there was a fox",
                "Write a cover letter for a gardener.", "Rewrite this politely: you are too late."),
    "opinion": ("Do you like rain?", "Which is better, tea or coffee?", "What do you think of modern art?",
                "Is money important?",
                "Should I learn the piano or the guitar?", "Do you believe in ghosts?",
                "Star Wars or Star Trek?", "Who is your hero?",
                "What is the meaning of life?", "Is it rude to be late?"),
    "feelings": ("I'm bored.", "I had a bad day.", "I am so happy today!", "I feel lonely.",
                 "My cat is ill and I am worried.",
                 "I passed my exam!", "I can't sleep.", "I am nervous about tomorrow.", "ugh, Mondays",
                 "I just got engaged!"),
    "chat": ("Let's play twenty questions.", "Tell me a story.", "Surprise me.",
             "Tell me something interesting.", "I love pizza.",
             "It is raining again here.", "My dog is called Bruno.", "Guess what I had for lunch.",
             "You won't believe what happened.",
             "Say something nice.", "I went hiking yesterday.", "Sing me a song.", "let's talk about films"),
    "advice": ("What should I give my mother for her birthday?", "How do I cheer up a friend?",
               "Give me ideas for a rainy Sunday.",
               "How can I be more patient?", "What would you cook for a first date?",
               "Help me think of a hobby.",
               "How do I make small talk at a party?", "I want to write a novel, any tips?"),
    "code": ("Write a Python function that reverses a string.", "Explain recursion with a picture in words.",
             "What does this regex match: ^a+$", "Give me an example of a for loop in Go.",
             "Is my idea for an app any good?",
             "Fix this line: prnt('hi')"),
    "control": ("Stop.", "never mind", "Say that again, please.", "I did not understand.",
                "Speak more simply.", "wrong answer",
                "That is not what I meant.", "Wait a second.", "Go on.", "Be shorter next time.",
                "Never mind, I found it."),
}  # fmt: skip
DEV_TALK = ("advice", "opinion", "farewell")
TAILS = ("", "", "", "", " :)", " Haha.", " Please.", " I mean it.", " Just for fun.")

# An exchange before the last turn, and a last turn that only reacts to it.
REACTIONS: tuple[tuple[str, str, str], ...] = (
    (
        "Tell me a joke.",
        "Why did the scarecrow win a prize? He was outstanding in his field.",
        "haha good one",
    ),
    ("Turn off the lights.", "The lights are off.", "Thanks!"),
    ("What is the refund period?", "You can return goods within 30 days.", "Great, thank you."),
    ("Hi!", "Hello! How can I help?", "Just saying hello."),
    ("Write a poem about rain.", "Soft rain on the roof, a drum for the sleeping town.", "Make it sadder."),
    ("Write a slogan for my bakery.", "Fresh bread, warm heart.", "Shorter, please."),
    ("What's the weather in Graz?", "It is 12 degrees and cloudy.", "Okay, too cold for me."),
    ("Do you like tea?", "I cannot drink, but many people love it.", "Why not?"),
    ("Add eggs to my list.", "Eggs are on your list.", "you are the best"),
    ("How long is the warranty?", "The warranty is two years.", "Good to know."),
    ("Give me a name for my rabbit.", "How about Biscuit?", "Another one?"),
    ("I had a bad day.", "I am sorry to hear that. What happened?", "My boss shouted at me."),
)
DEV_REACTIONS: tuple[tuple[str, str, str], ...] = (
    ("Who are you?", "I am your assistant.", "Nice to meet you then."),
    ("Tell me a story.", "Once there was a fox who could not sleep.", "and then?"),
    ("Book a taxi for six.", "Your taxi comes at six.", "perfect"),
    ("When does the museum open?", "It opens at ten.", "Cool, see you there!"),
)
