"""Money: a whole number of minor units of a currency. It refuses what nobody can pay, so that nobody else checks."""

from dataclasses import dataclass
from typing import Final, NewType

from cortex_order.domain.errors import AmountOutOfBounds, UnknownCurrency

Currency = NewType("Currency", str)

MAX_AMOUNT: Final = 10**12
"""Minor units; far below 2⁵³, so that every JSON reader keeps it exact."""

# ISO 4217, list one, as of 2026 (the lev and the Antillean guilder are gone, XCG is in), without funds codes,
# bond-market units, metals and test codes: nobody pays with those.
CURRENCIES: Final = frozenset(
    """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP CNY COP
    CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR
    IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU
    MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG
    SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED VES VND VUV
    WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
    """.split()  # noqa: SIM905 - six readable lines instead of one of 1,200 characters
)


def currency(code: str) -> Currency:
    """For new orders. Raises UnknownCurrency; a code is three capital letters."""
    if code not in CURRENCIES:
        raise UnknownCurrency(code)
    return Currency(code)


@dataclass(frozen=True, slots=True)
class Money:
    """What an order costs: 1 … MAX_AMOUNT minor units. Raises AmountOutOfBounds.

    The currency is not checked again: orders outlive currencies, and have to be readable then.
    """

    amount: int
    currency: Currency

    def __post_init__(self) -> None:
        if not 1 <= self.amount <= MAX_AMOUNT:
            raise AmountOutOfBounds(MAX_AMOUNT)
