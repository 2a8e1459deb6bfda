"""Guesses the languages of a text by their most frequent words, and only where it is sure.

Samples from all over the text are looked at one by one, so that a text in several languages shows
them all. A word that several languages share counts for less. Knows some thirty languages; what is
in none of them, or in no language, is left unsaid.
"""

import re
from collections import Counter

from tuillm.store.workers.exploration_record import Language

_WORDS = {
    "English": "the of and to in a is that for it was as with be by on not he his but at are this "
    "have from or had an they you i my me thou thy will your",
    "German": "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als "
    "auch es an werden aus er hat dass sie nach wird bei ich war wir",
    "French": "de la le et les des en un du une que est pour qui dans a par plus pas au sur ne se "
    "ce il sont la nous vous avec elle était mais je",
    "Spanish": "de la que el en y a los del se las por un para con no una su al lo como más pero "
    "sus le ya o este sí porque esta entre cuando muy",
    "Portuguese": "de a o que e do da em um para é com não uma os no se na por mais as dos como "
    "mas foi ao ele das tem à seu sua ou ser",
    "Italian": "di e il la che in a per un del è non una si con da i le dei al della come nel lo "
    "più sono anche gli alla ma ha era",
    "Dutch": "de van het een en in is dat op te zijn met die voor niet aan er om ook als dan maar "
    "bij uit nog naar heeft hij ze wordt",
    "Swedish": "och i att det som en på är av för med den till inte om ett han de var jag men sig "
    "från vi så har kan där hon",
    "Danish": "og i at det er en den til af på for der med de ikke han var som et men hun jeg sig "
    "har blev ud efter nu vi",
    "Norwegian": "og i det på er til en som for med at av ikke den jeg han de har var et om men "
    "seg fra hun vi skal ble nå etter",
    "Finnish": "ja on ei se että oli hän en mutta kun niin ovat myös joka sen hänen mitä olen jos "
    "kuin ole tai mukaan vain minä sitä",
    "Polish": "i w na z się nie do to że jest o jak po co tak za od ale przez jego był dla są już "
    "tylko ma czy może go ze",
    "Czech": "a se v na je že to s z do o i jako za by ale si k ve jsem po tak jsou byl od podle "
    "při nebo které jeho co",
    "Slovak": "a sa v na je že to s z do o aj ako za by ale si k vo som po tak sú bol od podľa pri "
    "alebo ktoré jeho čo",
    "Hungarian": "a az és hogy nem is egy volt de meg csak ez azt már ha még mint vagy el ki majd "
    "kell lesz minden ami aki van volna",
    "Romanian": "și de în la a cu pe o că nu din un este pentru se care mai sunt prin sau fost "
    "lui ale dar ca fi să al",
    "Turkish": "ve bir bu da de için çok ile ne daha o gibi olarak ama kadar sonra olan en ya ki "
    "var değil her ben şey mi oldu",
    "Indonesian": "yang dan di itu dengan untuk tidak ini dari dalam akan pada juga saya ke karena "
    "ada adalah mereka bisa oleh kita sudah atau",
    "Vietnamese": "và của là có các trong được cho không người một với đã để này những khi ở về "
    "cũng từ đến như ông thì vào",
    "Russian": "и в не на я что он с как а то это по но из у за к его от все она так же был бы "
    "для мы только мне было вы",
    "Ukrainian": "і в не на що я з та до у як він це за а від його про так але вона для є був "
    "й ще мене коли було ми",
    "Bulgarian": "на и да в се за не от са с че си по е като ще го това до той но му тя при или "
    "беше има му аз",
    "Serbian": "и у је да се на за не од су са као што о то би али из до који а ће га или није "
    "она бити му",
    "Kazakh": "және мен бұл бір үшін болып деп ол оның осы да де еді екен болды бойынша бар көп "
    "ең өз сол қазақ кейін дейін та те бен пен жылы не емес оны арқылы сияқты болған кез ал",
    "Kyrgyz": "жана менен бул бир үчүн болуп деп ал анын ошол да эле болду боюнча бар көп эң өз "
    "кыргыз кийин чейин жылы эмес аны аркылуу болгон үч же",
    "Greek": "και το να του η της με που την από για είναι ο τα των στο οι τον σε τη στην θα δεν "
    "μου ένα ως μια αλλά",
    "Arabic": "في من على أن إلى التي عن لا ما هذا الذي كان هذه مع أو كل قال لم ذلك بعد هو بين إن "
    "و وقد ثم",
    "Persian": "و در به از که این را با است برای آن یک خود تا کرد بر هم نیز می شد ما بود او شود "
    "باید هر",
    "Hebrew": "של את על לא זה הוא עם כי גם אל היא מה אני אבל יש או כל היה אם אשר כמו רק אין",
    "Hindi": "के में है की और को से का ने पर कि यह एक हैं इस भी नहीं तो ही था लिए जो या कर वह",
}
# languages that their script alone tells
_OF_SCRIPT = {
    "Hangul": "Korean",
    "Thai": "Thai",
    "Georgian": "Georgian",
    "Armenian": "Armenian",
    "Hiragana": "Japanese",
    "Han": "Chinese",
}
_LANGUAGES: dict[str, tuple[str, ...]] = {}
for _language, _frequent in _WORDS.items():
    for _word in set(_frequent.split()):
        _LANGUAGES[_word] = (*_LANGUAGES.get(_word, ()), _language)
_WORD = re.compile(r"\w+")
_INDIC = re.compile(r"[^\s।,.;:!?()\"'«»]+")
_LEAST_WORDS, _LEAST_HITS, _LEAST_SHARE, _AHEAD = 20, 5, 0.035, 1.35
# languages that are seen in less than this of the samples may be mistakes
_LEAST_SAMPLES = 0.02


def guess_languages(sample: list[str]) -> tuple[Language, ...]:
    """Return the languages of the samples that are sure, the most frequent first."""
    found = Counter(map(language_of, sample))
    named = [(name, count / len(sample)) for name, count in found.most_common() if name]
    return tuple(Language(name, share) for name, share in named if share >= _LEAST_SAMPLES)


def language_of(text: str) -> str:
    """Return the name of the language of some lines, or '' where it is not sure."""
    by_script = _by_script(text)
    if by_script:
        return by_script
    words = _INDIC.findall(text) if any("\u0900" <= each <= "\u0dff" for each in text) else []
    words = words or _WORD.findall(text.casefold())
    scores: Counter[str] = Counter()
    hits: Counter[str] = Counter()
    for word, count in Counter(words).items():
        sharing = _LANGUAGES.get(word, ())
        for language in sharing:
            scores[language] += count / len(sharing)  # type: ignore[assignment]
            hits[language] += count
    if len(words) < _LEAST_WORDS or not scores:
        return ""
    (name, best), *others = scores.most_common(2)
    second = others[0][1] if others else 0
    sure = hits[name] >= _LEAST_HITS and best >= _LEAST_SHARE * len(words)
    return name if sure and best >= _AHEAD * second else ""


def _by_script(text: str) -> str:
    letters = sum(map(str.isalpha, text))
    ranges = {
        "Hiragana": ("\u3040", "\u30ff"),
        "Hangul": ("\uac00", "\ud7a3"),
        "Thai": ("\u0e00", "\u0e7f"),
        "Georgian": ("\u10a0", "\u10ff"),
        "Armenian": ("\u0530", "\u058f"),
        "Han": ("\u4e00", "\u9fff"),
    }
    if letters < _LEAST_WORDS or text.isascii():
        return ""
    for script, (first, last) in ranges.items():
        least = 0.15 if script == "Hiragana" else 0.6  # among kana stands Han
        if sum(first <= letter <= last for letter in text) >= least * letters:
            return _OF_SCRIPT[script]
    return ""
