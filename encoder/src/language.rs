//! Languages: the three letters that containers carry (ISO 639-2) to BCP 47 tags (RFC 5646 2.2.1:
//! the shortest code there is) and to mdhd's terminological code.

use serde::{Deserialize, Serialize};

/// A language that a track declares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Language {
    /// BCP 47: `en`, `pt`, `yue`.
    pub tag: String,
    /// ISO 639-2/T, for mdhd (14496-12 8.4.2.3).
    pub code: [u8; 3],
}

/// Reads a container's language; `None` for `und`, `mis`, `mul`, `zxx` and what is no code.
pub fn parse(text: &str) -> Option<Language> {
    // Some muxers write a whole tag; its first subtag is the language.
    let primary = text.split(['-', '_']).next().unwrap_or("").to_ascii_lowercase();
    if matches!(primary.as_str(), "und" | "mis" | "mul" | "zxx") {
        return None;
    }
    let known = TABLE.lines().find(|line| line.split(' ').any(|word| word == primary));
    let (tag, code) = match known {
        Some(line) => {
            let mut words = line.split(' ');
            (words.next()?, words.next()?)
        }
        None => (primary.as_str(), primary.as_str()),
    };
    let code: [u8; 3] = code.as_bytes().try_into().ok()?;
    code.iter().all(u8::is_ascii_lowercase).then(|| Language { tag: tag.to_owned(), code })
}

/// ISO 639-1, ISO 639-2/T and, where it differs, ISO 639-2/B.
const TABLE: &str = "\
aa aar
ab abk
ae ave
af afr
ak aka
am amh
an arg
ar ara
as asm
av ava
ay aym
az aze
ba bak
be bel
bg bul
bi bis
bm bam
bn ben
bo bod tib
br bre
bs bos
ca cat
ce che
ch cha
co cos
cr cre
cs ces cze
cu chu
cv chv
cy cym wel
da dan
de deu ger
dv div
dz dzo
ee ewe
el ell gre
en eng
eo epo
es spa
et est
eu eus baq
fa fas per
ff ful
fi fin
fj fij
fo fao
fr fra fre
fy fry
ga gle
gd gla
gl glg
gn grn
gu guj
gv glv
ha hau
he heb
hi hin
ho hmo
hr hrv
ht hat
hu hun
hy hye arm
hz her
ia ina
id ind
ie ile
ig ibo
ii iii
ik ipk
io ido
is isl ice
it ita
iu iku
ja jpn
jv jav
ka kat geo
kg kon
ki kik
kj kua
kk kaz
kl kal
km khm
kn kan
ko kor
kr kau
ks kas
ku kur
kv kom
kw cor
ky kir
la lat
lb ltz
lg lug
li lim
ln lin
lo lao
lt lit
lu lub
lv lav
mg mlg
mh mah
mi mri mao
mk mkd mac
ml mal
mn mon
mr mar
ms msa may
mt mlt
my mya bur
na nau
nb nob
nd nde
ne nep
ng ndo
nl nld dut
nn nno
no nor
nr nbl
nv nav
ny nya
oc oci
oj oji
om orm
or ori
os oss
pa pan
pi pli
pl pol
ps pus
pt por
qu que
rm roh
rn run
ro ron rum
ru rus
rw kin
sa san
sc srd
sd snd
se sme
sg sag
si sin
sk slk slo
sl slv
sm smo
sn sna
so som
sq sqi alb
sr srp
ss ssw
st sot
su sun
sv swe
sw swa
ta tam
te tel
tg tgk
th tha
ti tir
tk tuk
tl tgl
tn tsn
to ton
tr tur
ts tso
tt tat
tw twi
ty tah
ug uig
uk ukr
ur urd
uz uzb
ve ven
vi vie
vo vol
wa wln
wo wol
xh xho
yi yid
yo yor
za zha
zh zho chi
zu zul";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages() {
        let table = [
            ("eng", Some(("en", b"eng"))),
            ("ger", Some(("de", b"deu"))),
            ("deu", Some(("de", b"deu"))),
            ("de", Some(("de", b"deu"))),
            ("pt-BR", Some(("pt", b"por"))),
            ("yue", Some(("yue", b"yue"))),
            ("ENG", Some(("en", b"eng"))),
            ("und", None),
            ("", None),
            ("e", None),
            ("english", None),
            ("xx", None),
            ("e1g", None),
        ];
        for (text, wanted) in table {
            let got = parse(text);
            let got = got.as_ref().map(|l| (l.tag.as_str(), &l.code));
            assert_eq!(got, wanted, "{text}");
        }
    }
}
