"""Fields of the messages in `messages.py`: tag, name, type, and the values it may have where those are listed.

Facts of FIX 4.4; what FIX 5.0 SP2 has besides, or has more values for, is in the second table.
"""

from typing import Final

FIELDS: Final = """
1 Account string
6 AvgPx float
7 BeginSeqNo seqnum
8 BeginString string
9 BodyLength length
10 CheckSum string
11 ClOrdID string
12 Commission float
13 CommType char 1 2 3 4 5 6
14 CumQty float
15 Currency currency
16 EndSeqNo seqnum
17 ExecID string
18 ExecInst multiple 1 2 3 4 5 6 7 8 9 0 A B C D E F G H I J K L M N O P Q R S T U V W X Y Z a b c d e
19 ExecRefID string
21 HandlInst char 1 2 3
22 SecurityIDSource string 1 2 3 4 5 6 7 8 9 A B C D E F G H I J
23 IOIID string
30 LastMkt string
31 LastPx float
32 LastQty float
33 NoLinesOfText numingroup
34 MsgSeqNum seqnum
35 MsgType string
36 NewSeqNo seqnum
37 OrderID string
38 OrderQty float
39 OrdStatus char 0 1 2 3 4 5 6 7 8 9 A B C D E
40 OrdType char 1 2 3 4 6 7 8 9 D E G I J K L M P
41 OrigClOrdID string
42 OrigTime utctimestamp
43 PossDupFlag boolean
44 Price float
45 RefSeqNum seqnum
48 SecurityID string
49 SenderCompID string
50 SenderSubID string
52 SendingTime utctimestamp
54 Side char 1 2 3 4 5 6 7 8 9 A B C D E F G
55 Symbol string
56 TargetCompID string
57 TargetSubID string
58 Text string
59 TimeInForce char 0 1 2 3 4 5 6 7
60 TransactTime utctimestamp
61 Urgency char 0 1 2
62 ValidUntilTime utctimestamp
63 SettlType char 0 1 2 3 4 5 6 7 8 9
64 SettlDate localmktdate
65 SymbolSfx string
66 ListID string
75 TradeDate localmktdate
77 PositionEffect char O C R F
81 ProcessCode char 0 1 2 3 4 5 6
89 Signature data
90 SecureDataLen length
91 SecureData data
93 SignatureLength length
95 RawDataLength length
96 RawData data
97 PossResend boolean
98 EncryptMethod int 0 1 2 3 4 5 6
99 StopPx float
100 ExDestination string
102 CxlRejReason int 0 1 2 3 4 5 6 18 99
103 OrdRejReason int 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 99
106 Issuer string
107 SecurityDesc string
108 HeartBtInt int
110 MinQty float
111 MaxFloor float
112 TestReqID string
113 ReportToExch boolean
114 LocateReqd boolean
115 OnBehalfOfCompID string
116 OnBehalfOfSubID string
117 QuoteID string
120 SettlCurrency currency
121 ForexReq boolean
122 OrigSendingTime utctimestamp
123 GapFillFlag boolean
126 ExpireTime utctimestamp
128 DeliverToCompID string
129 DeliverToSubID string
131 QuoteReqID string
132 BidPx float
133 OfferPx float
134 BidSize float
135 OfferSize float
140 PrevClosePx float
141 ResetSeqNumFlag boolean
142 SenderLocationID string
143 TargetLocationID string
144 OnBehalfOfLocationID string
145 DeliverToLocationID string
146 NoRelatedSym numingroup
148 Headline string
149 URLLink string
150 ExecType char 0 3 4 5 6 7 8 9 A B C D E F G H I
151 LeavesQty float
152 CashOrderQty float
167 SecurityType string CS PS CORP CB FUT OPT FOR FAC FADN FRN GO MF MLEG NONE REPO REV TB TBILL TNOTE TBOND WAR ?
168 EffectiveTime utctimestamp
194 LastSpotRate float
195 LastForwardPoints float
198 SecondaryOrderID string
200 MaturityMonthYear monthyear
201 PutOrCall int 0 1
202 StrikePrice float
203 CoveredOrUncovered int 0 1
206 OptAttribute char
207 SecurityExchange string
210 MaxShow float
211 PegOffsetValue float
212 XmlDataLen length
213 XmlData data
223 CouponRate float
229 TradeOriginationDate localmktdate
231 ContractMultiplier float
262 MDReqID string
263 SubscriptionRequestType char 0 1 2
264 MarketDepth int
265 MDUpdateType int 0 1
266 AggregatedBook boolean
267 NoMDEntryTypes numingroup
268 NoMDEntries numingroup
269 MDEntryType char 0 1 2 3 4 5 6 7 8 9 A B C
270 MDEntryPx float
271 MDEntrySize float
272 MDEntryDate utcdateonly
273 MDEntryTime utctimeonly
274 TickDirection char 0 1 2 3
275 MDMkt string
276 QuoteCondition multiple A B C D E F G H I L O P
277 TradeCondition multiple
278 MDEntryID string
279 MDUpdateAction char 0 1 2
280 MDEntryRefID string
281 MDReqRejReason char 0 1 2 3 4 5 6 7 8 9 A B C D
285 DeleteReason char 0 1
286 OpenCloseSettlFlag multiple 0 1 2 3 4 5
290 MDEntryPositionNo int
291 FinancialStatus multiple 1 2
292 CorporateAction multiple
295 NoQuoteEntries numingroup
296 NoQuoteSets numingroup
299 QuoteEntryID string
301 QuoteResponseLevel int 0 1 2
302 QuoteSetID string
304 TotNoQuoteEntries int
309 UnderlyingSecurityID string
311 UnderlyingSymbol string
320 SecurityReqID string
322 SecurityResponseID string
323 SecurityResponseType int 1 2 3 4 5 6
324 SecurityStatusReqID string
325 UnsolicitedIndicator boolean
326 SecurityTradingStatus int 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23
327 HaltReason char D E I M P X
328 InViewOfCommon boolean
329 DueToRelated boolean
330 BuyVolume float
331 SellVolume float
332 HighPx float
333 LowPx float
334 Adjustment int 1 2 3
336 TradingSessionID string
337 ContraTrader string
346 NumberOfOrders int
347 MessageEncoding string
354 EncodedTextLen length
355 EncodedText data
358 EncodedHeadlineLen length
359 EncodedHeadline data
369 LastMsgSeqNumProcessed seqnum
371 RefTagID int
372 RefMsgType string
373 SessionRejectReason int
375 ContraBroker string
376 ComplianceID string
377 SolicitedFlag boolean
378 ExecRestatementReason int
379 BusinessRejectRefID string
380 BusinessRejectReason int 0 1 2 3 4 5 6 7
381 GrossTradeAmt float
382 NoContraBrokers numingroup
383 MaxMessageSize length
384 NoMsgTypes numingroup
385 MsgDirection char R S
386 NoTradingSessions numingroup
393 TotNoRelatedSym int
423 PriceType int 1 2 3 4 5 6 7 8 9 10 11
427 GTBookingInst int 0 1 2
432 ExpireDate localmktdate
434 CxlRejResponseTo char 1 2
437 ContraTradeQty float
438 ContraTradeTime utctimestamp
442 MultiLegReportingType char 1 2 3
447 PartyIDSource char
448 PartyID string
452 PartyRole int
453 NoPartyIDs numingroup
454 NoSecurityAltID numingroup
455 SecurityAltID string
456 SecurityAltIDSource string
460 Product int 1 2 3 4 5 6 7 8 9 10 11 12 13
461 CFICode string
464 TestMessageIndicator boolean
468 RoundingDirection char 0 1 2
469 RoundingModulus float
480 CancellationRights char Y N O M
481 MoneyLaunderingStatus char Y N 1 2 3
494 Designation string
516 OrderPercent float
523 PartySubID string
526 SecondaryClOrdID string
527 SecondaryExecID string
528 OrderCapacity char A G I P R W
529 OrderRestrictions multiple 1 2 3 4 5 6 7 8 9 A
530 MassCancelRequestType char 1 2 3 4 5 6 7
531 MassCancelResponse char 0 1 2 3 4 5 6 7
532 MassCancelRejectReason string 0 1 2 3 4 5 6 99
533 TotalAffectedOrders int
534 NoAffectedOrders numingroup
535 AffectedOrderID string
536 AffectedSecondaryOrderID string
537 QuoteType int 0 1 2 3
541 MaturityDate localmktdate
544 CashMargin char 1 2 3
548 CrossID string
551 OrigCrossID string
553 Username string
554 Password string
559 SecurityListRequestType int 0 1 2 3 4
560 SecurityRequestResult int 0 1 2 3 4 5
561 RoundLot float
562 MinTradeVol float
581 AccountType int 1 2 3 4 6 7 8
582 CustOrderCapacity int 1 2 3 4
583 ClOrdLinkID string
584 MassStatusReqID string
585 MassStatusReqType int 1 2 3 4 5 6 7 8
586 OrigOrdModTime utctimestamp
589 DayBookingInst char 0 1 2
590 BookingUnit char 0 1 2
625 TradingSessionSubID string
627 NoHops numingroup
628 HopCompID string
629 HopSendingTime utctimestamp
630 HopRefID seqnum
635 ClearingFeeIndicator string
636 WorkingIndicator boolean
660 AcctIDSource int 1 2 3 4 5 99
669 LastParPx float
711 NoUnderlyings numingroup
762 SecuritySubType string
775 BookingType int 0 1 2
789 NextExpectedMsgSeqNum seqnum
790 OrdStatusReqID string
797 CopyMsgIndicator boolean
802 NoPartySubIDs numingroup
803 PartySubIDType int
812 ApplQueueMax int
815 ApplQueueAction int 0 1 2 3
816 NoAltMDSource numingroup
817 AltMDSourceID string
835 PegMoveType int 0 1
836 PegOffsetType int 0 1 2 3
837 PegLimitType int 0 1 2
838 PegRoundDirection int 1 2
840 PegScope int 1 2 3 4
847 TargetStrategy int
848 TargetStrategyParameters string
849 ParticipationRate float
851 LastLiquidityInd int 1 2 3
854 QtyType int 0 1
911 TotNumReports int
912 LastRptRequested boolean
"""

FIELDS_50SP2: Final = """
40 OrdType char 1 2 3 4 6 7 8 9 D E G I J K L M P Q R S
59 TimeInForce char 0 1 2 3 4 5 6 7 8 9
150 ExecType char 0 3 4 5 6 7 8 9 A B C D E F G H I J K L
530 MassCancelRequestType char 1 2 3 4 5 6 7 8 9 A B
531 MassCancelResponse char 0 1 2 3 4 5 6 7 8 9 A B
851 LastLiquidityInd int 1 2 3 4
880 TrdMatchID string
925 NewPassword string
1031 CustOrderHandlingInst multiple
1091 PreTradeAnonymity boolean
1100 TriggerType char 1 2 3 4
1101 TriggerAction char 1 2 3
1102 TriggerPrice float
1107 TriggerPriceType char 1 2 3 4 5 6
1109 TriggerPriceDirection char U D
1110 TriggerNewPrice float
1128 ApplVerID string 0 1 2 3 4 5 6 7 8 9
1129 CstmApplVerID string
1130 RefApplVerID string 0 1 2 3 4 5 6 7 8 9
1137 DefaultApplVerID string 0 1 2 3 4 5 6 7 8 9
1138 DisplayQty float
1139 DisplayWhen char 1 2
1140 DisplayMethod char 1 2 3 4
1156 ApplExtID int
1369 MassActionReportID string
1400 EncryptedPasswordMethod int
1401 EncryptedPasswordLen length
1402 EncryptedPassword data
1403 EncryptedNewPasswordLen length
1404 EncryptedNewPassword data
1409 SessionStatus int 0 1 2 3 4 5 6 7 8
2362 SelfMatchPreventionID string
"""
