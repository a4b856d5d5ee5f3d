"""Messages that this venue speaks, and their fields. Facts of FIX 4.4, FIXT 1.1 and FIX 5.0 SP2.

A number is a field, `!` says that it is required, and brackets hold the entries of the repeating group that the number
in front of them counts. The first field in brackets begins each entry. `$Name` stands for a component. FIX 5.0 SP2 has
the messages of FIX 4.4, except for those in `MESSAGES_FIXT`.
"""

from typing import Final

HEADER: Final = """
8 9 35 49! 56! 115 128 90 91 34! 50 142 57 143 116 144 129 145 43 97 52! 122 212 213 347 369 627 [628 629 630]
"""
HEADER_FIXT: Final = """
8 9 35 1128 1156 1129 49! 56! 115 128 90 91 34! 50 142 57 143 116 144 129 145 43 97 52! 122 212 213 347 369
627 [628 629 630]
"""
TRAILER: Final = "93 89 10"

COMPONENTS: Final = {
    "$Terms": """
        526 583 $Parties 229 75 1 660 581 589 590 63 64 544 635 21 18 110 111 100 $Sessions 81 140 114 854
        423 44 99 15 376 377 23 117 59 168 432 126 427 528 529 582 121 120 775 $Text 77 203 210 $Pegging 847 848 849
        480 481 494
    """,
    "$Later": "1138 1139 1140 1091 1031 1100 1101 1102 1107 1109 1110 2362",
    "$Parties": "453 [448! 447 452 802 [523! 803]]",
    "$NamedInstrument": "55! 65 48 22 454 [455! 456] 460 461 167 762 200 541 202 201 206 231 223 207 106 107",
    "$Instrument": "55 65 48 22 454 [455! 456] 460 461 167 762 200 541 202 201 206 231 223 207 106 107",
    "$Quantity": "38 152 516 468 469",
    "$Text": "58 354 355",
    "$Sessions": "386 [336! 625]",
    "$Pegging": "211 835 836 837 838 840",
}
"""Those that name others come before them."""

MESSAGES: Final = """
0 Heartbeat
112

1 TestRequest
112!

2 ResendRequest
7! 16!

3 Reject
45! 371 372 373 $Text

4 SequenceReset
123 36!

5 Logout
$Text

A Logon
98! 108! 95 96 141 789 383 384 [372 385] 464 553 554

D NewOrderSingle
11! $NamedInstrument 54! 60! $Quantity 40! $Terms

F OrderCancelRequest
41! 37 11! 526 583 1 660 581 $Parties $NamedInstrument 54! 60! $Quantity $Text

G OrderCancelReplaceRequest
37 41! 11! $NamedInstrument 54! 60! $Quantity 40! $Terms

H OrderStatusRequest
37 11! 526 583 $Parties 790 1 660 581 $NamedInstrument 54!

q OrderMassCancelRequest
11! 526 530! 336 625 $Instrument 54 60! $Text

AF OrderMassStatusRequest
584! 585! 336 625 $Parties 1 660 581 $Instrument 54

8 ExecutionReport
37! 198 526 527 11 41 583 790 584 911 912 $Parties 229 66 548 551 17! 19 150! 39! 636 103 378 1 660 581 589 590 63 64
$NamedInstrument 54! $Quantity 40 423 44 99 $Pegging 15 376 377 59 168 432 126 18 528 529 582 32 31 669 194 195 30
336 625 151! 14! 6! 75 60 113 21 110 111 210 12 13 381 442 797 851 77 337 382 [375! 337 437 438] $Text

9 OrderCancelReject
37! 198 526 11! 583 41! 39! 636 586 1 660 581 60 434! 102 $Text

r OrderMassCancelReport
11 526 37! 198 530! 531! 532 533 534 [41! 535 536] 336 625 $Instrument 54 60 $Text

j BusinessMessageReject
45 372! 379 380! $Text

d SecurityDefinition
320! 322! 323! $Instrument 15 336 625 $Text 561 562 711 [311! 309]

B News
42 61 148! 358 359 33! [58! 354 355] 149 95 96

V MarketDataRequest
262! 263! 264! 265 266 286 267! [269!] 146! [$NamedInstrument] $Sessions 815 812

W MarketDataSnapshotFullRefresh
262 $NamedInstrument 268! [269! 270 15 271 272 273 274 275 336 625 276 277 290 346 $Text]

X MarketDataIncrementalRefresh
262 268! [279! 285 269 278 280 $Instrument 270 15 271 272 273 274 275 336 625 276 277 290 346 $Text]

Y MarketDataRequestReject
262! 281 816 [817!] $Text

x SecurityListRequest
320! 559! $Instrument 15 $Text 336 625 263

y SecurityList
320! 322! 560! 393 146 [$Instrument 15 561 562 336 625 $Text]

e SecurityStatusRequest
324! $NamedInstrument 15 263! 336 625

f SecurityStatus
324 $NamedInstrument 15 325 336 625 326 291 292 327 328 329 330 331 332 333 31 60 334 $Text

i MassQuote
131 117! 537 301 $Parties 1 660 581 296! [302! 311 304 295 [299! $Instrument 132 133 134 135 62 60 336 625 15]]
"""

MESSAGES_FIXT: Final = """
A Logon
98! 108! 95 96 141 789 383 384 [372 385 1130] 464 553 554 925 1400 1401 1402 1403 1404 1409 1137! $Text

D NewOrderSingle
11! $Instrument 54! 60! $Quantity 40! $Terms $Later

F OrderCancelRequest
41 37 11! 526 583 1 660 581 $Parties $Instrument 54! 60! $Quantity $Text

G OrderCancelReplaceRequest
37 41 11! $Instrument 54! 60! $Quantity 40! $Terms $Later

H OrderStatusRequest
37 11 526 583 $Parties 790 1 660 581 $Instrument 54!

8 ExecutionReport
37! 198 526 527 11 41 583 790 584 911 912 $Parties 229 66 548 551 17! 19 150! 39! 636 103 378 1 660 581 589 590 63 64
$Instrument 54! $Quantity 40 423 44 99 $Pegging 15 376 377 59 168 432 126 18 528 529 582 32 31 669 194 195 30
336 625 151! 14! 6 75 60 113 21 110 111 210 12 13 381 442 797 851 77 337 382 [375! 337 437 438] 880 $Later $Text

9 OrderCancelReject
37! 198 526 11! 583 41 39! 636 586 1 660 581 60 434! 102 $Text

r OrderMassCancelReport
11 526 37! 198 530! 531! 532 533 534 [41! 535 536] 336 625 $Instrument 54 60 1369 $Text

d SecurityDefinition
320 322 323 $Instrument 15 $Text 561 562 711 [311! 309]
"""
