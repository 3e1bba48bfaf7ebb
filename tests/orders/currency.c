#include "common/base.h"
#include "tests/orders/currency.h"

static const char with_0[] = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF ";
static const char with_2[] =
	"AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN "
	"BZD CAD CDF CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS "
	"GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR "
	"LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD "
	"PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN "
	"SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR "
	"ZMW ZWG ";
static const char with_3[] = "BHD IQD JOD KWD LYD OMR TND ";

static bool holds(const char *list, const char *code)
{
	for (; *list; list += 4)
		if (memcmp(list, code, 3) == 0)
			return true;
	return false;
}

int currency_decimals(const char *code)
{
	return holds(with_2, code) ? 2 : holds(with_0, code) ? 0 : holds(with_3, code) ? 3 : -1;
}
