"""Customers and their segments, from an oracle's Answers; by docs/segments.md, and by nothing of the programs."""
import collections

NAMES = ("champion", "loyal", "potential_loyalist", "new", "promising", "needs_attention", "about_to_sleep", "at_risk", "cant_lose",
         "hibernating", "lost")

Customer = collections.namedtuple("Customer", "net gross refunds orders refund_count first last recency frequency monetary segment")


def segment(recency, value):
    """value: the mean of frequency and monetary, rounded up."""
    if recency == 5:
        return "champion" if value >= 4 else "potential_loyalist" if value >= 2 else "new"
    if recency == 4:
        return "champion" if value == 5 else "loyal" if value == 4 else "potential_loyalist" if value >= 2 else "promising"
    if recency == 3:
        return "loyal" if value >= 4 else "needs_attention" if value == 3 else "about_to_sleep"
    return "cant_lose" if value == 5 else "at_risk" if value >= 3 else "hibernating" if recency == 2 else "lost"


def quintiles(ranked):
    """{customer: 1 to 5}, as equal in size as can be, the larger ones first."""
    size, larger = divmod(len(ranked), 5)
    scores, at = {}, 0
    for score in range(1, 6):
        n = size + (score <= larger)
        scores.update((customer, score) for customer in ranked[at:at + n])
        at += n
    return scores


def customers(answers):
    """{(customer_id, currency): Customer}; times in ms, of minutes."""
    sums = collections.defaultdict(lambda: [0, 0, 0, 0, None, None])
    for (who, minute, currency), r in answers.customers.items():
        s = sums[currency, who]
        s[0] += r.gross
        s[1] += r.refunds
        s[2] += r.orders
        s[3] += r.refund_count
        if r.orders:
            s[4] = minute if s[4] is None else min(s[4], minute)
            s[5] = minute if s[5] is None else max(s[5], minute)
    out = {}
    for currency in {c for c, _ in sums}:
        of = {who: s for (c, who), s in sums.items() if c == currency}
        buyers = {who.encode(): (s[5], s[2], s[0] - s[1]) for who, s in of.items() if s[2]}
        scores = [quintiles(sorted(buyers, key=lambda who, first=first, then=then, last=last:
                                   (buyers[who][first], buyers[who][then], buyers[who][last], who)))
                  for first, then, last in ((0, 1, 2), (1, 2, 0), (2, 1, 0))]
        for who, s in of.items():
            rfm = [score.get(who.encode()) for score in scores]
            name = segment(rfm[0], -(-(rfm[1] + rfm[2]) // 2)) if s[2] else None
            out[who, currency] = Customer(s[0] - s[1], s[0], s[1], *s[2:], *rfm, name)
    return out
