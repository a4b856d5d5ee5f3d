// Words for what the wire says in numbers: phases, kinds of orders, and for each code what it means and what to do.

import { Code, EventKind, OrderType, Phase, SelfTradePrevention, Side, TimeInForce } from "./net/messages.js";

export const SIDES = { [Side.BUY]: "Buy", [Side.SELL]: "Sell" };

export const PHASES = {
  [Phase.PRE_OPEN]: "Pre-open",
  [Phase.OPENING_AUCTION]: "Opening auction",
  [Phase.CONTINUOUS]: "Open",
  [Phase.HALT]: "Halted",
  [Phase.VOLATILITY_AUCTION]: "Volatility auction",
  [Phase.CLOSING_AUCTION]: "Closing auction",
  [Phase.CLOSED]: "Closed",
};

export function isAuction(phase) {
  return [Phase.OPENING_AUCTION, Phase.VOLATILITY_AUCTION, Phase.CLOSING_AUCTION, Phase.PRE_OPEN].includes(phase);
}

export const TYPES = {
  [OrderType.LIMIT]: "Limit",
  [OrderType.MARKET]: "Market",
  [OrderType.STOP]: "Stop",
  [OrderType.STOP_LIMIT]: "Stop limit",
  [OrderType.TRAILING_STOP]: "Trailing stop",
  [OrderType.OCO]: "Limit or stop (OCO)",
};

export const TIFS = {
  [TimeInForce.DAY]: "Day",
  [TimeInForce.GTC]: "Until canceled",
  [TimeInForce.IOC]: "Immediate or cancel",
  [TimeInForce.FOK]: "Fill or kill",
  [TimeInForce.GTD]: "Until a time",
  [TimeInForce.AT_OPEN]: "At the open",
  [TimeInForce.AT_CLOSE]: "At the close",
  [TimeInForce.GOOD_FOR_AUCTION]: "For the next auction",
};

const STANDING = [TimeInForce.DAY, TimeInForce.GTC, TimeInForce.GTD];

/** Which times in force an order type has (docs/engine.md, check 2). */
export const TIFS_OF = {
  [OrderType.LIMIT]: [...STANDING, TimeInForce.IOC, TimeInForce.FOK, TimeInForce.AT_OPEN, TimeInForce.AT_CLOSE, TimeInForce.GOOD_FOR_AUCTION],
  [OrderType.MARKET]: [TimeInForce.IOC, TimeInForce.FOK, TimeInForce.DAY, TimeInForce.GTC, TimeInForce.AT_OPEN, TimeInForce.AT_CLOSE, TimeInForce.GOOD_FOR_AUCTION],
  [OrderType.STOP]: STANDING,
  [OrderType.STOP_LIMIT]: STANDING,
  [OrderType.TRAILING_STOP]: STANDING,
  [OrderType.OCO]: STANDING,
};

export const PREVENTIONS = {
  [SelfTradePrevention.NONE]: "May trade with my own orders",
  [SelfTradePrevention.CANCEL_NEWEST]: "Cancel the new order",
  [SelfTradePrevention.CANCEL_OLDEST]: "Cancel the resting order",
  [SelfTradePrevention.CANCEL_BOTH]: "Cancel both",
  [SelfTradePrevention.DECREMENT]: "Reduce both",
};

export const EVENTS = {
  [EventKind.ACCEPTED]: "Accepted",
  [EventKind.REJECTED]: "Rejected",
  [EventKind.TRADE]: "Filled",
  [EventKind.CANCELED]: "Canceled",
  [EventKind.REPLACED]: "Replaced",
  [EventKind.CANCEL_REJECTED]: "Cancel rejected",
  [EventKind.REPLACE_REJECTED]: "Replace rejected",
  [EventKind.MASS_CANCELED]: "Canceled all",
  [EventKind.REDUCED]: "Reduced",
  [EventKind.TRIGGERED]: "Triggered",
};

export function isRejection(kind) {
  return [EventKind.REJECTED, EventKind.CANCEL_REJECTED, EventKind.REPLACE_REJECTED].includes(kind);
}

// Code: [what it means, what to do].
const CODES = {
  PRICE_OUT_OF_RANGE: ["The price is out of range.", "Enter a price between one tick and 2^40 ticks."],
  QUANTITY_OUT_OF_RANGE: ["The quantity is out of range.", "Enter at least one lot."],
  FIELD_OUT_OF_RANGE: ["A field has a value that it can't have.", "Check the fields that are set."],
  MISSING_FIELD: ["Something is missing.", "Fill in the fields that this kind of order needs."],
  NOT_ENTITLED: ["You may not do this with this account.", "Choose an account of yours."],
  UNAUTHENTICATED: ["The token is not known here.", "Sign in with the token that the operator gave you."],
  SESSION_TAKEN_OVER: ["Another tab has taken this session.", "Go on there, or take a new session here."],
  REPORTS_GONE: ["Older reports can't be had any more.", "Compare your orders and positions; a new session was begun."],
  BUSY: ["The cluster is busy.", "It is sent again by itself."],
  UNAVAILABLE: ["No gateway can be reached.", "It is tried again by itself."],
  UNKNOWN_ACCOUNT: ["There is no such account.", "Choose another account."],
  INSUFFICIENT_CASH: ["There is not enough free cash for this order.", "Buy less, lower the limit, or cancel other buy orders."],
  INSUFFICIENT_POSITION: ["You don't hold so many free lots.", "Sell less, or cancel other sell orders."],
  ACCOUNT_CLOSE_ONLY: ["The account may only close positions.", "Send an order that lessens a position."],
  ACCOUNT_RESTRICTED: ["The account takes no new orders.", "Ask the operator."],
  ACCOUNT_BANNED: ["The account is banned.", "Ask the operator."],
  ACCOUNT_KILLED: ["The kill switch is on.", "Have the operator set the account active again."],
  ORDER_TOO_LARGE: ["The order is larger than the account may send.", "Split it."],
  ORDER_WORTH_TOO_MUCH: ["The order is worth more than the account may send.", "Split it."],
  POSITION_LIMIT: ["The position would exceed the account's limit.", "Send less, or close some first."],
  DAILY_ORDER_LIMIT: ["The account has used up its orders of today.", "Come back tomorrow, or ask the operator."],
  ORDER_RATE: ["Too many orders in a short time.", "Wait a second and send it again."],
  ORDER_TO_TRADE_RATIO: ["Too many orders for each trade.", "Let orders rest until they trade."],
  CONCENTRATION_LIMIT: ["Too much of the account would be in this instrument.", "Send less."],
  PRICE_COLLAR: ["The price is too far from the last one.", "Choose a price nearer to the market."],
  SHORT_SALE: ["The account may not sell short.", "Sell only what you hold."],
  INSUFFICIENT_MARGIN: ["There is not enough margin.", "Send less, or close positions."],
  MARGIN_CALL: ["The account is under a margin call.", "Close positions or add cash first."],
  DAY_TRADER: ["The day-trade rule forbids it.", "Keep the position until tomorrow."],
  INSTRUMENT_THROTTLED: ["Too many orders for this instrument just now.", "Wait a second and send it again."],
  MARKET_THROTTLED: ["Too many orders for the market just now.", "Wait a second and send it again."],
  UNKNOWN_INSTRUMENT: ["There is no such instrument.", "Choose one from the list."],
  BAD_PRICE: ["This order can't have that price.", "Set a limit price, or a protection price in an auction."],
  BAD_QUANTITY: ["This is no quantity.", "Enter at least one lot."],
  DUPLICATE_ORDER_ID: ["An order with this id is live.", "Send it again."],
  UNKNOWN_ORDER: ["The order is not live any more.", "It was filled or canceled in the meantime; see the history."],
  NOT_SUPPORTED: ["These settings don't go together.", "Take away one of them: see the order types in docs/engine.md."],
  OVERFLOW: ["The order is worth more than can be counted.", "Send less."],
  WOULD_TRADE: ["A post-only order would have traded at once.", "Lower a bid, raise an offer, or turn post-only off."],
  BAD_EXPIRY: ["The time is over already.", "Choose a later time."],
  WRONG_PHASE: ["The phase of the market does not take this order.", "Wait for the next phase, or send an order that rests."],
  OUTSIDE_BAND: ["The price is outside of the band.", "Choose a price within the band shown above the ladder."],
  TOO_MANY_CHILDREN: ["Too many orders of the account wait for another one.", "Cancel some of them first."],
  INSTRUMENT_RESTRICTED: ["The instrument is restricted.", "Orders like this one are not taken, of the account or of anybody."],
  OWNERSHIP_LIMIT: ["The account could hold too large a share of all that there is.", "Enter a smaller quantity."],
  NOT_LOCATED: ["The account could be short of more than was located for it.", "Have more located, or enter a smaller quantity."],
  SHORT_SALE_PRICE: ["Short sales are restricted for now.", "Choose a price above the best bid."],
  ODD_LOT: ["The instrument takes whole round lots only.", "Enter a multiple of a round lot."],
  HALTED: ["Trading was halted or paused, and the order was to end then.", ""],
  BAND_MOVED: ["A price band moved over the order.", "Choose a price within the band shown above the ladder."],
  BAD_STOP_PRICE: ["The stop price is not possible.", "A trailing stop needs a last price, and a trail that leaves one; an OCO buy has it above its limit, a sell below."],
  BAD_DISPLAY: ["The displayed part is not possible.", "At least a thousandth of the quantity, at most all of it."],
  BAD_MINIMUM: ["The minimum is not possible.", "At most the quantity."],
  KEY_REUSED: ["The number was used for another command.", "Nothing was done; the first command stands."],
  SESSION_CLOSED: ["The session was closed.", "Take a new session."],
  CANCEL_REQUESTED: ["Canceled as asked.", ""],
  IOC_REMAINDER: ["What did not trade at once was canceled.", ""],
  FOK_UNFILLABLE: ["It could not be filled as a whole, so nothing traded.", "Send less, or allow a part."],
  NO_LIQUIDITY: ["Nothing was left to trade with.", "Send a limit order to wait in the book."],
  MASS_CANCEL: ["Canceled with all others.", ""],
  SELF_TRADE: ["It met an order of the same account.", ""],
  MIN_QUANTITY: ["Less than the minimum would have traded.", "Lower the minimum."],
  EXPIRED: ["Its time was over.", ""],
  DISCONNECTED: ["Its session was gone.", ""],
  AUCTION_ENDED: ["It was for an auction that is over.", ""],
  ACCOUNT_BLOCKED: ["The account was blocked.", ""],
};

const NAMES = new Map(Object.entries(Code).map(([name, number]) => [number, name]));

/** {name, text, remedy} of a code. */
export function codeWords(code) {
  const name = NAMES.get(code) ?? `code ${code}`;
  const [text, remedy] = CODES[name] ?? [name.toLowerCase().replaceAll("_", " "), ""];
  return { name, text, remedy };
}
